package images

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"cmf/data/memory"
)

// The IDX magic numbers of MNIST: two zero bytes, the type 0x08 of unsigned
// bytes, and the number of dimensions.
const (
	idxImages uint32 = 0x00000803
	idxLabels uint32 = 0x00000801
)

// maxIDXBytes bounds the body of an IDX file: 256 MiB, five times MNIST's.
const maxIDXBytes = 256 << 20

// readIDX reads an IDX file of unsigned bytes, gzipped or plain (its first two
// bytes tell which). It returns the dimensions, the count first, and the body.
func readIDX(path string, magic uint32) (dims []int, body []uint8, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open IDX file: %w", err)
	}
	defer f.Close()
	dims, body, err = decodeIDX(f, magic)
	if err != nil {
		return nil, nil, fmt.Errorf("IDX file %s: %w", path, err)
	}
	return dims, body, nil
}

func decodeIDX(r io.Reader, magic uint32) (dims []int, body []uint8, err error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	r = buffered
	if start, _ := buffered.Peek(2); string(start) == "\x1f\x8b" {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, nil, fmt.Errorf("gzip header: %w", err)
		}
		r = &members{unzipped, buffered}
	}
	dims, err = decodeIDXHeader(r, magic)
	if err != nil {
		return nil, nil, err
	}
	size := 1
	for _, n := range dims {
		size *= n
	}
	if err := memory.Check(5 * int64(size)); err != nil { // bytes, and pixels of float32
		return nil, nil, err
	}
	// ReadAll allocates only for bytes that are there, so a short file with a
	// large count costs nothing. Reading one byte more than the size detects a
	// trailer, and reaching the end makes gzip check its sum.
	body, err = io.ReadAll(io.LimitReader(r, int64(size)+1))
	switch {
	case len(body) < size && (err == nil || errors.Is(err, io.ErrUnexpectedEOF)):
		return nil, nil, fmt.Errorf("length: the body ends after %d bytes; dimensions %v need %d", len(body), dims, size)
	case err != nil:
		return nil, nil, fmt.Errorf("body: %w", err)
	case len(body) > size:
		return nil, nil, fmt.Errorf("length: bytes follow the body; dimensions %v allow %d", dims, size)
	}
	return dims, body, nil
}

// members reads the members of a gzip file one after the other. Zero bytes may follow
// them, with which tapes and some copiers pad files.
type members struct {
	*gzip.Reader
	from *bufio.Reader
}

func (m *members) Read(p []byte) (n int, err error) {
	m.Multistream(false)
	switch n, err = m.Reader.Read(p); {
	case !errors.Is(err, io.EOF):
		return n, err
	case n > 0:
		return n, nil
	}
	for {
		switch c, err := m.from.ReadByte(); {
		case err != nil:
			return 0, err // the end, as a rule
		case c != 0:
			if err := m.from.UnreadByte(); err != nil {
				return 0, err
			}
			if err := m.Reset(m.from); err != nil {
				return 0, fmt.Errorf("what follows the gzip data: %w", err)
			}
			return m.Read(p)
		}
	}
}

// decodeIDXHeader reads the magic number and the dimensions. Their product may
// be at most maxIDXBytes.
func decodeIDXHeader(r io.Reader, magic uint32) (dims []int, err error) {
	var word uint32
	if err := binary.Read(r, binary.BigEndian, &word); err != nil {
		return nil, fmt.Errorf("magic: %w", err)
	}
	if word != magic {
		return nil, fmt.Errorf("magic is %#08x; it must be %#08x", word, magic)
	}
	size := 1
	for _, field := range []string{"count", "rows", "cols"}[:magic&0xff] {
		if err := binary.Read(r, binary.BigEndian, &word); err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
		if limit := maxIDXBytes / size; word == 0 || int64(word) > int64(limit) {
			return nil, fmt.Errorf("%s is %d; it must be 1 to %d (a body of at most %d bytes)", field, word, limit, maxIDXBytes)
		}
		dims = append(dims, int(word))
		size *= int(word)
	}
	return dims, nil
}

// readLabels reads an IDX file of n labels 0 to 9.
func readLabels(path string, n int) ([]uint8, error) {
	dims, labels, err := readIDX(path, idxLabels)
	if err != nil {
		return nil, err
	}
	if dims[0] != n {
		return nil, fmt.Errorf("IDX file %s: count is %d; there are %d images", path, dims[0], n)
	}
	for i, label := range labels {
		if label > 9 {
			return nil, fmt.Errorf("IDX file %s: label %d is %d; it must be 0 to 9", path, i, label)
		}
	}
	return labels, nil
}
