package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// change is a change of a file.
type change struct {
	file     string
	line     int
	from, to string
	text     []byte // of the changed file
}

// String says where a change is and what it is.
func (c change) String() string { return fmt.Sprintf("%s:%d: %s → %s", c.file, c.line, c.from, c.to) }

func (c change) base() string { return filepath.Base(c.file) }

// operators are what takes the place of an operator.
var operators = map[token.Token]token.Token{
	token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL,
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.EQL: token.NEQ, token.NEQ: token.EQL, token.LAND: token.LOR, token.LOR: token.LAND,
	token.ADD_ASSIGN: token.SUB_ASSIGN, token.SUB_ASSIGN: token.ADD_ASSIGN, token.MUL_ASSIGN: token.QUO_ASSIGN,
	token.INC: token.DEC, token.DEC: token.INC,
}

// changesIn lists the changes of the files of a folder, tests and generated code left out.
func changesIn(folder string) (all []change, err error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s has no Go files", folder)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		found, err := changesOf(filepath.Clean(path), text)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// changesOf lists the changes of a file: another operator, a number ten times as large, and a
// call or an assignment left out.
func changesOf(path string, text []byte) (all []change, err error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	if ast.IsGenerated(file) {
		return nil, nil
	}
	put := func(from, end token.Pos, by string) {
		at, to := files.Position(from), files.Position(end)
		changed := slices.Concat(text[:at.Offset], []byte(by), text[to.Offset:])
		all = append(all, change{path, at.Line, string(text[at.Offset:to.Offset]), by, changed})
	}
	swap := func(at token.Pos, was token.Token) {
		if by, ok := operators[was]; ok {
			put(at, at+token.Pos(len(was.String())), by.String())
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.CallExpr: // the words of messages
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && (f.Sel.Name == "Errorf" || f.Sel.Name == "Sprintf") {
				return false
			}
		case *ast.BinaryExpr:
			swap(n.OpPos, n.Op)
		case *ast.IncDecStmt:
			swap(n.TokPos, n.Tok)
		case *ast.AssignStmt:
			swap(n.TokPos, n.Tok)
			if n.Tok == token.ASSIGN {
				put(n.Pos(), n.End(), "")
			}
		case *ast.ExprStmt:
			put(n.Pos(), n.End(), "")
		case *ast.BasicLit:
			if n.Kind == token.INT && n.Value != "0" && n.Value[0] != '0' {
				put(n.Pos(), n.End(), n.Value+"0")
			}
			if n.Kind == token.FLOAT && !strings.ContainsAny(n.Value, "xXpP") {
				put(n.Pos(), n.End(), "(10*"+n.Value+")")
			}
		}
		return true
	})
	return all, nil
}
