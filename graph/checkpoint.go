package graph

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"cmf/data/file"
	"cmf/data/memory"

	"github.com/nlpodyssey/safetensors"
	"gonum.org/v1/gonum/blas/blas32"
)

// Tensor is one array of a checkpoint: one of F32 and F64 is set.
type Tensor struct {
	Shape []int
	F32   []float32
	F64   []float64
}

// General returns a float32 array of shape (n, d) as a batch that shares its
// memory, and an empty batch for any other array.
func (t Tensor) General() blas32.General {
	if len(t.Shape) != 2 || t.F32 == nil {
		return blas32.General{}
	}
	return blas32.General{Rows: t.Shape[0], Cols: t.Shape[1], Stride: max(1, t.Shape[1]), Data: t.F32}
}

// Checkpoint is what a safetensors file holds: named arrays, and texts by name
// (step, random streams, configuration).
type Checkpoint struct {
	Tensors map[string]Tensor
	Texts   map[string]string

	// Unchecked says that the checkpoint was read from a file without a sum of its
	// content, as earlier versions wrote them: damage of such a file may go unnoticed.
	Unchecked bool
}

// NewCheckpoint returns an empty checkpoint.
func NewCheckpoint() *Checkpoint {
	return &Checkpoint{Tensors: make(map[string]Tensor), Texts: make(map[string]string)}
}

// Put adds a float32 array. It keeps data itself: save before data changes.
func (c *Checkpoint) Put(name string, data []float32, shape ...int) {
	c.Tensors[name] = Tensor{Shape: shape, F32: data}
}

// Get copies the named float32 array into dst. An array that is missing, or has
// another type or size, is an error.
func (c *Checkpoint) Get(name string, dst []float32) error {
	t, ok := c.Tensors[name]
	if !ok {
		return fmt.Errorf("the checkpoint has no %q", name)
	}
	if len(t.F32) != len(dst) {
		return fmt.Errorf("%q has shape %v in the checkpoint; %d float32 values are needed", name, t.Shape, len(dst))
	}
	copy(dst, t.F32)
	return nil
}

// PutParams adds every weight. It keeps their memory: save before the weights
// change.
func (c *Checkpoint) PutParams(ps *Params) {
	for _, p := range ps.list {
		c.Tensors[weightKey(p)] = Tensor{Shape: []int{p.Rows, p.Cols}, F32: p.f32, F64: p.f64}
	}
}

// GetParams loads every weight, or none on an error. It is an error if a weight
// is missing, has another shape or is not the model's: the checkpoint is then
// of another architecture.
func (c *Checkpoint) GetParams(ps *Params) error {
	known := make(map[string]bool)
	for _, p := range ps.list {
		known[weightKey(p)] = true
		t, ok := c.Tensors[weightKey(p)]
		switch {
		case !ok:
			return fmt.Errorf("another architecture: the checkpoint has no weight %q", p.Name)
		case len(t.Shape) != 2 || t.Shape[0] != p.Rows || t.Shape[1] != p.Cols:
			return fmt.Errorf("another architecture: weight %q has shape %v in the checkpoint and (%d, %d) here", p.Name, t.Shape, p.Rows, p.Cols)
		case len(t.F32) != len(p.f32) || len(t.F64) != len(p.f64):
			return fmt.Errorf("weight %q has another element type in the checkpoint", p.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Tensors)) {
		if weight, ok := strings.CutPrefix(name, weightPrefix); ok && !known[name] {
			return fmt.Errorf("another architecture: the checkpoint has a weight %q that is not here", weight)
		}
	}
	for _, p := range ps.list {
		copy(p.f32, c.Tensors[weightKey(p)].F32)
		copy(p.f64, c.Tensors[weightKey(p)].F64)
	}
	return nil
}

const (
	weightPrefix = "weight."
	reserved     = "__metadata__" // where the format keeps the texts
	sumKey       = "sha256"       // of the text that holds the sum in the file
	formatKey    = "format"       // of the text that says that the file has a sum
	format       = "2"            // files of earlier versions name none
)

func weightKey(p *Param) string { return weightPrefix + p.Name }

// Save writes the checkpoint to path, whole or not at all.
func (c *Checkpoint) Save(path string) error {
	text, err := c.Marshal()
	if err == nil {
		err = file.Write(path, func(w io.Writer) error { return file.Text(w, text) })
	}
	if err != nil {
		return fmt.Errorf("graph: checkpoint %s: %w", path, err)
	}
	return nil
}

// PreviousCheckpoint is where the checkpoint before the one at path is kept:
// checkpoint.previous.safetensors beside checkpoint.safetensors.
func PreviousCheckpoint(path string) string {
	ending := filepath.Ext(path)
	return strings.TrimSuffix(path, ending) + ".previous" + ending
}

// LoadCheckpoint reads a checkpoint file. The error for a damaged one names the
// previous one, if there is one.
func LoadCheckpoint(path string) (*Checkpoint, error) {
	// A device or a pipe might have no end.
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file; name a checkpoint.safetensors", path)
	}
	if err == nil { // the file, what is decoded of it, and its copy in a network
		err = memory.Check(3 * info.Size())
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("graph: checkpoint: %w", err)
	}
	c, err := ParseCheckpoint(data)
	if err != nil {
		return nil, fmt.Errorf("graph: checkpoint %s: %w%s", path, err, HintPrevious(path))
	}
	return c, nil
}

// HintPrevious ends a message about a checkpoint that is refused: it names the previous
// one, if there is one beside it.
func HintPrevious(path string) string {
	previous := PreviousCheckpoint(path)
	if _, err := os.Stat(previous); err != nil {
		return ""
	}
	return "; the one before it is " + previous
}

// Marshal returns the checkpoint in safetensors format, with its Sum as the text
// "sha256" and the text "format", which says that the sum must be there. Names and texts
// must be valid UTF-8, because the header of safetensors is JSON.
func (c *Checkpoint) Marshal() ([]byte, error) {
	for _, name := range slices.Sorted(maps.Keys(c.Texts)) {
		if !utf8.ValidString(name) || !utf8.ValidString(c.Texts[name]) {
			return nil, fmt.Errorf("text %q is not valid UTF-8", name)
		}
		if name == sumKey || name == formatKey {
			return nil, fmt.Errorf("a text is called %q, as one of the file format's own; give it another name", name)
		}
	}
	views := make(map[string]safetensors.TensorView, len(c.Tensors))
	for _, name := range slices.Sorted(maps.Keys(c.Tensors)) {
		t := c.Tensors[name]
		if !utf8.ValidString(name) || name == reserved {
			return nil, fmt.Errorf("array name %q; it must be valid UTF-8 and not %s", name, reserved)
		}
		shape := make([]uint64, len(t.Shape))
		for i, n := range t.Shape {
			shape[i] = uint64(n)
		}
		v, err := safetensors.NewTensorView(t.dtype(), shape, t.raw())
		if err != nil {
			return nil, fmt.Errorf("array %q: %w", name, err)
		}
		views[name] = v
	}
	texts := maps.Clone(c.Texts)
	if texts == nil {
		texts = make(map[string]string)
	}
	texts[sumKey], texts[formatKey] = c.Sum(), format
	return safetensors.Serialize(views, texts)
}

// ParseCheckpoint reads the safetensors format. It copies what it keeps. Content that
// does not have the file's sum is an error. A file of an earlier version, which has none,
// is Unchecked.
func ParseCheckpoint(data []byte) (c *Checkpoint, err error) {
	if len(data) < 8 {
		return nil, errors.New("not a safetensors file: shorter than its header")
	}
	st, err := safetensors.Deserialize(data)
	if err != nil {
		return nil, fmt.Errorf("not a safetensors file, or a damaged one: %w", err)
	}
	c = NewCheckpoint()
	for _, nv := range st.Tensors() {
		t := Tensor{}
		for _, n := range nv.TensorView.Shape() {
			if n > math.MaxInt {
				return nil, fmt.Errorf("array %q has shape %v", nv.Name, nv.TensorView.Shape())
			}
			t.Shape = append(t.Shape, int(n))
		}
		raw := nv.TensorView.Data()
		switch nv.TensorView.DType() {
		case safetensors.F32:
			t.F32 = make([]float32, len(raw)/4)
			for i := range t.F32 {
				t.F32[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
			}
		case safetensors.F64:
			t.F64 = make([]float64, len(raw)/8)
			for i := range t.F64 {
				t.F64[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
			}
		default:
			return nil, fmt.Errorf("array %q is of type %v; allowed are F32 and F64", nv.Name, nv.TensorView.DType())
		}
		c.Tensors[nv.Name] = t
	}
	_, meta, err := safetensors.ReadMetadata(data)
	if err != nil {
		return nil, err
	}
	for k, v := range meta.Metadata() {
		c.Texts[k] = v
	}
	if err := c.checkSum(); err != nil {
		return nil, err
	}
	return c, nil
}
