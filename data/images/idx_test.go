package images

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// idxFile is an IDX file with the given header words and body.
func idxFile(body []byte, words ...uint32) []byte {
	var file []byte
	for _, w := range words {
		file = binary.BigEndian.AppendUint32(file, w)
	}
	return append(file, body...)
}

func zipped(t testing.TB, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestDecodeIDX(t *testing.T) {
	body := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	plain := idxFile(body, idxImages, 2, 3, 2)
	for name, file := range map[string][]byte{
		"plain": plain, "gzip": zipped(t, plain),
		"gzip of two members":  append(zipped(t, plain[:9]), zipped(t, plain[9:])...),
		"gzip padded by zeros": append(zipped(t, plain), make([]byte, 1000)...),
	} {
		dims, got, err := decodeIDX(bytes.NewReader(file), idxImages)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Equal(dims, []int{2, 3, 2}) || !bytes.Equal(got, body) {
			t.Errorf("%s: got dimensions %v, body %v", name, dims, got)
		}
	}
}

func TestDecodeIDXRefuses(t *testing.T) {
	good := idxFile([]byte{1, 2, 3, 4}, idxImages, 1, 2, 2)
	badSum := zipped(t, good)
	badSum[len(badSum)-8] ^= 1 // the stored checksum
	long := zipped(t, idxFile(archive, idxImages, uint32(len(archive)), 1, 1))
	cut := long[:len(long)/2]
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":            {nil, "magic"},
		"labels as images": {idxFile([]byte{1}, idxLabels, 1), "magic is 0x00000801; it must be 0x00000803"},
		"cut header":       {good[:11], "rows: "},
		"no images":        {idxFile(nil, idxImages, 0, 2, 2), "count is 0; it must be 1 to"},
		"no rows":          {idxFile(nil, idxImages, 1, 0, 2), "rows is 0"},
		"no columns":       {idxFile(nil, idxImages, 1, 2, 0), "cols is 0"},
		"too large":        {idxFile(nil, idxImages, 1<<20, 1<<8, 2), "cols is 2; it must be 1 to 1 "},
		"overflow":         {idxFile(nil, idxImages, 1<<31, 1<<31, 1<<31), "count is 2147483648; it must be 1 to 268435456"},
		"cut body":         {good[:len(good)-1], "length: the body ends after 3 bytes; dimensions [1 2 2] need 4"},
		"trailing byte":    {append(slices.Clone(good), 0), "length: bytes follow the body"},
		"cut gzip header":  {zipped(t, good)[:20], "unexpected EOF"},
		"cut gzip":         {cut, "length: the body ends after"},
		"gzip trailer":     {append(append(zipped(t, good), make([]byte, 10)...), bytes.Repeat([]byte{7}, 10)...), "body: what follows the gzip data: gzip: invalid header"},
		"short trailer":    {append(zipped(t, good), 1), "body: "},
		"gzip checksum":    {badSum, "body: gzip: invalid checksum"},
	} {
		_, _, err := decodeIDX(bytes.NewReader(c.file), idxImages)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", name, err, c.want)
		}
	}
}

func TestReadLabelsRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "labels")
	if err := os.WriteFile(path, idxFile([]byte{3, 10, 4}, idxLabels, 3), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := readLabels(path, 3)
	if want := "label 1 is 10; it must be 0 to 9"; err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
		t.Errorf("got error %v, want one with %q and the path", err, want)
	}
	_, err = readLabels(path, 4)
	if want := "count is 3; there are 4 images"; err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
		t.Errorf("got error %v, want one with %q and the path", err, want)
	}
}

func FuzzIDX(f *testing.F) {
	good := idxFile([]byte{1, 2, 3, 4}, idxImages, 1, 2, 2)
	f.Add(good)
	f.Add(zipped(f, good))
	f.Add(idxFile(nil, idxImages, 1<<20, 16, 16))
	f.Fuzz(func(t *testing.T, file []byte) {
		dims, body, err := decodeIDX(bytes.NewReader(file), idxImages)
		if err == nil && len(body) != dims[0]*dims[1]*dims[2] {
			t.Errorf("%d bytes for dimensions %v", len(body), dims)
		}
	})
}
