package report

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"cmf/graph/wire"

	"google.golang.org/protobuf/encoding/protowire"
)

// EventFile is a file for TensorBoard, events.out.tfevents.SECONDS.HOST: a sequence of
// Event messages. Each has a step with scalars or an image.
//
// Reference: tensorflow/core/util/event.proto and lib/io/record_writer.h.
type EventFile struct{ file *os.File }

// The names of event files begin with EventsBegin; those of files of figures end with
// EventFigures.
const (
	EventsBegin  = "events.out.tfevents."
	EventFigures = ".figures"
)

// The fields of Event.
const (
	eventTime    = 1
	eventStep    = 2
	eventVersion = 3
	eventSummary = 5
)

// NewEventFile begins another event file in the folder; its name ends with ending.
// TensorBoard reads the files of a folder one after the other, in the order of names.
func NewEventFile(folder, ending string) (*EventFile, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	seconds := time.Now().Unix()
	// The order is that of writing though the clock may have gone back.
	err = EachEventFile(folder, "", func(path string) error {
		begun, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), EventsBegin), ".")
		if at, err := strconv.ParseInt(begun, 10, 64); err == nil {
			seconds = max(seconds, at+1)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var file *os.File
	for ; ; seconds++ {
		name := fmt.Sprintf("%s%d.%s%s", EventsBegin, seconds, host, ending)
		file, err = os.OpenFile(filepath.Join(folder, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("TensorBoard events: %w", err)
		}
	}
	f := &EventFile{file}
	return f, f.append(0, wire.Message{}.Text(eventVersion, "brain.Event:2"))
}

// Scalars writes the metrics of one step, at once.
func (f *EventFile) Scalars(step int, metrics Numbers) error {
	var summary wire.Message
	for _, tag := range slices.Sorted(maps.Keys(metrics)) {
		summary = summary.Bytes(1, wire.Message{}.Text(1, tag).Float(2, float32(metrics[tag])))
	}
	return f.append(step, wire.Message{}.Bytes(eventSummary, summary))
}

// Image writes a picture, a PNG or GIF file.
func (f *EventFile) Image(step int, tag string, picture []byte) error {
	size, _, err := image.DecodeConfig(bytes.NewReader(picture))
	if err != nil {
		return fmt.Errorf("TensorBoard events: picture %q: %w", tag, err)
	}
	const rgba = 4
	message := wire.Message{}.Int(1, size.Height).Int(2, size.Width).Int(3, rgba).Bytes(4, picture)
	return f.append(step, wire.Message{}.Bytes(eventSummary, wire.Message{}.Bytes(1, wire.Message{}.Text(1, tag).Bytes(4, message))))
}

// Close closes the file.
func (f *EventFile) Close() error { return f.file.Close() }

// append writes a record in the framing of TFRecord: the length, its checksum, the
// event and its checksum.
func (f *EventFile) append(step int, what wire.Message) error {
	seconds := float64(time.Now().UnixMicro()) / 1e6
	event := append(wire.Message{}.Double(eventTime, seconds).Int(eventStep, step), what...)
	record := binary.LittleEndian.AppendUint64(nil, uint64(len(event)))
	record = binary.LittleEndian.AppendUint32(record, maskedCRC(record))
	record = append(record, event...)
	record = binary.LittleEndian.AppendUint32(record, maskedCRC(event))
	if _, err := f.file.Write(record); err != nil {
		return fmt.Errorf("TensorBoard events: %w", err)
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedCRC is CRC-32C, rotated and shifted, so that a checksum over data that contains
// checksums is not degenerate.
func maskedCRC(data []byte) uint32 {
	c := crc32.Checksum(data, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// keepEvents cuts the event files of folder after step last, where a run is resumed, and
// removes files that have no event left.
func keepEvents(folder string, last int) error {
	return EachEventFile(folder, "", func(path string) error {
		file, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		kept, events := 0, 0
		for rest := file; ; events++ {
			event, n := nextRecord(rest)
			if n == 0 || stepOf(event) > last {
				break
			}
			kept, rest = kept+n, rest[n:]
		}
		switch {
		case events < 2: // only the version
			return os.Remove(path)
		case kept < len(file):
			return os.Truncate(path, int64(kept))
		}
		return nil
	})
}

// nextRecord is the event at the beginning of data and the length of its record. The
// length is 0 at the end, where a killed run may have left part of a record.
func nextRecord(data []byte) (event []byte, n int) {
	const head, tail = 12, 4
	if len(data) < head+tail || binary.LittleEndian.Uint32(data[8:]) != maskedCRC(data[:8]) {
		return nil, 0
	}
	length := binary.LittleEndian.Uint64(data)
	if length > uint64(len(data)-head-tail) {
		return nil, 0
	}
	n = head + int(length) + tail
	return data[head : n-tail], n
}

// stepOf is the step of an event, or a step beyond all others if it cannot be read.
func stepOf(event []byte) int {
	for len(event) > 0 {
		field, kind, n := protowire.ConsumeTag(event)
		if n < 0 {
			return math.MaxInt
		}
		event = event[n:]
		if field == eventStep && kind == protowire.VarintType {
			step, n := protowire.ConsumeVarint(event)
			if n < 0 {
				return math.MaxInt
			}
			return int(step)
		}
		if n = protowire.ConsumeFieldValue(field, kind, event); n < 0 {
			return math.MaxInt
		}
		event = event[n:]
	}
	return 0
}

func EachEventFile(folder, ending string, visit func(path string) error) error {
	// os.ReadDir is used because a folder's name may contain characters that are patterns to Glob.
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("TensorBoard events: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), EventsBegin) && strings.HasSuffix(e.Name(), ending) {
			if err := visit(filepath.Join(folder, e.Name())); err != nil {
				return fmt.Errorf("TensorBoard events: %w", err)
			}
		}
	}
	return nil
}
