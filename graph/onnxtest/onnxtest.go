// Package onnxtest runs ONNX models in tests, on an implementation that is not this one.
package onnxtest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// Array is a tensor as onnxruntime exchanges it.
type Array struct {
	Dims []int     `json:"dims"`
	Data []float64 `json:"data"`
	Type string    `json:"type,omitempty"` // float64, or float32 if it is empty
}

// Request asks for the outputs of a model.
type Request struct {
	Model  string           `json:"model"`  // path
	Inputs map[string]Array `json:"inputs"` // by name
}

//go:embed onnxruntime.js
var script string

// Run answers requests by onnxruntime. The test
// skips where Node.js does not find onnxruntime-node in the folder NODE_PATH.
func Run(t *testing.T, requests []Request) []map[string]Array {
	t.Helper()
	if os.Getenv("NODE_PATH") == "" || exec.Command("node", "-e", `require("onnxruntime-node")`).Run() != nil {
		t.Skip("no onnxruntime-node under NODE_PATH")
	}
	in, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	var out, complaint bytes.Buffer
	node := exec.Command("node", "-e", script)
	node.Stdin, node.Stdout, node.Stderr = bytes.NewReader(in), &out, &complaint
	if err := node.Run(); err != nil {
		t.Fatalf("%v: %s", err, &complaint)
	}
	var answers []map[string]Array
	if err := json.Unmarshal(out.Bytes(), &answers); err != nil {
		t.Fatal(err)
	}
	return answers
}
