package data

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"cmf/data/file"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// ReadCSV reads a table of numbers separated by commas as an (n, d) batch,
// rounded to float32, one line to a row. A first line without any number is a
// header; lines that begin with # and empty lines are skipped.
//
// A value that is not a finite number, or a line with more or fewer values than
// the first, is an error that names file, line and column.
func ReadCSV(path string) (blas32.General, error) {
	file, err := os.Open(path)
	if err != nil {
		return blas32.General{}, fmt.Errorf("read table: %w", err)
	}
	defer file.Close()
	m, err := decodeCSV(file)
	if err != nil {
		return blas32.General{}, fmt.Errorf("read table %s: %w", path, err)
	}
	return m, nil
}

// WriteCSV writes the (n, d) batch x as a table, one line to a row, under a
// header unless it is nil. Numbers have enough digits to read back as the same
// float32. The file appears only when it is whole.
func WriteCSV(path string, header []string, x blas32.General) error {
	return file.Write(path, func(w io.Writer) error {
		out := csv.NewWriter(w)
		if header != nil {
			if err := out.Write(header); err != nil {
				return err
			}
		}
		record := make([]string, x.Cols)
		for i := range x.Rows {
			for j, v := range batch.Row(x, i) {
				record[j] = strconv.FormatFloat(float64(v), 'g', -1, 32)
			}
			if err := out.Write(record); err != nil {
				return err
			}
		}
		out.Flush()
		return out.Error()
	})
}

func decodeCSV(file io.Reader) (m blas32.General, err error) {
	in := bufio.NewReader(&lineReader{r: file, line: 1})
	const mark = "\ufeff" // spreadsheets begin a file with it
	if start, _ := in.Peek(len(mark)); string(start) == mark {
		in.Discard(len(mark))
	}
	r := csv.NewReader(in)
	r.Comment, r.FieldsPerRecord, r.ReuseRecord, r.TrimLeadingSpace = '#', -1, true, true
	columns, from := 0, 0 // the number of columns in the first line, and that line
	for {
		record, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return m, err
		}
		if len(m.Data) > maxNPYValues-len(record) {
			return m, fmt.Errorf("more than %d values; at most that many are read", maxNPYValues)
		}
		line, _ := r.FieldPos(0)
		switch {
		case from == 0:
			columns, from = len(record), line
			if !slices.ContainsFunc(record, isNumber) {
				continue
			}
		case len(record) != columns:
			return m, fmt.Errorf("line %d has %d columns, line %d has %d; they must agree", line, len(record), from, columns)
		}
		for k, text := range record {
			v, err := strconv.ParseFloat(strings.TrimSpace(text), 32)
			if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
				line, _ := r.FieldPos(k)
				return m, fmt.Errorf("line %d, column %d: %q is not a finite number; allowed are numbers separated by commas, such as 1.5,-2e3", line, k+1, clipped(text))
			}
			m.Data = append(m.Data, float32(v))
		}
		m.Rows++
	}
	if m.Rows == 0 {
		return m, errors.New("it holds no row of numbers; give one row per line, numbers separated by commas")
	}
	m.Cols, m.Stride = columns, columns
	return m, nil
}

func isNumber(text string) bool {
	_, err := strconv.ParseFloat(strings.TrimSpace(text), 32)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

// clipped is a text short enough for a message.
func clipped(text string) string {
	if len(text) > 40 {
		return text[:40] + "…"
	}
	return text
}

// maxCSVLine is the largest length of a line: 16 MiB, about a million numbers.
const maxCSVLine = 16 << 20

// lineReader refuses lines beyond maxCSVLine, which encoding/csv would hold whole.
type lineReader struct {
	r            io.Reader
	line, length int
}

func (l *lineReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	l.length += n
	if last := bytes.LastIndexByte(p[:n], '\n'); last >= 0 {
		l.line += bytes.Count(p[:n], []byte("\n"))
		l.length = n - last - 1
	}
	if l.length > maxCSVLine {
		return 0, fmt.Errorf("line %d is longer than %d bytes; at most that many are read", l.line, maxCSVLine)
	}
	return n, err
}
