package fit_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cmf/experiments/config"
	"cmf/experiments/internal/plane"
	"cmf/experiments/report"
	"cmf/experiments/run"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
)

// event is what a strict reader reads from one record.
type event struct {
	Time    float64
	Step    int
	Version string
	Scalars map[string]float32
	Images  map[string]string // size, colour space and format
}

// readEvents reads the event files of a folder as TensorBoard does, in the order of their
// names. It accepts nothing that is not in the format.
func readEvents(t *testing.T, folder string) []event {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "events.out.tfevents.*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	var all []event
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		version := "brain.Event:2" // only of the first event
		for len(data) > 0 {
			var e event
			if e, data, err = readRecord(data); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if e.Version != version {
				t.Fatalf("%s: version %q, want %q", path, e.Version, version)
			}
			if age := time.Since(time.UnixMicro(int64(e.Time * 1e6))); age < 0 || age > time.Minute {
				t.Errorf("%s: an event is %v old", path, age)
			}
			if version == "" {
				all = append(all, e)
			}
			version = ""
		}
	}
	return all
}

func readRecord(data []byte) (event, []byte, error) {
	if len(data) < 16 {
		return event{}, nil, fmt.Errorf("%d bytes are no record", len(data))
	}
	n := binary.LittleEndian.Uint64(data)
	if n > uint64(len(data)-16) {
		return event{}, nil, fmt.Errorf("a record of %d bytes in %d", n, len(data)-16)
	}
	for _, part := range [][]byte{data[:12], data[12 : 16+n]} {
		body, sum := part[:len(part)-4], binary.LittleEndian.Uint32(part[len(part)-4:])
		rotated := sum - 0xa282ead8
		if got := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)); got != rotated>>17|rotated<<15 {
			return event{}, nil, fmt.Errorf("checksum %08x, want that of %08x", sum, got)
		}
	}
	e, err := readEvent(data[12 : 12+n])
	return e, data[16+n:], err
}

func readEvent(message []byte) (e event, err error) {
	return e, eachField(message, func(field protowire.Number, number uint64, body []byte) error {
		switch field {
		case 1:
			e.Time = math.Float64frombits(number)
		case 2:
			e.Step = int(number)
		case 3:
			e.Version = string(body)
		case 5:
			e.Scalars, e.Images = map[string]float32{}, map[string]string{}
			return eachField(body, func(field protowire.Number, _ uint64, body []byte) error {
				if field != 1 {
					return fmt.Errorf("Summary has field %d", field)
				}
				return e.value(body)
			})
		default:
			return fmt.Errorf("Event has field %d", field)
		}
		return nil
	})
}

func (e *event) value(message []byte) error {
	var tag string
	return eachField(message, func(field protowire.Number, number uint64, body []byte) error {
		switch field {
		case 1:
			tag = string(body)
		case 2:
			e.Scalars[tag] = math.Float32frombits(uint32(number))
		case 4:
			var height, width, space uint64
			var format string
			err := eachField(body, func(field protowire.Number, number uint64, body []byte) error {
				switch field {
				case 1:
					height = number
				case 2:
					width = number
				case 3:
					space = number
				case 4:
					size, name, err := image.DecodeConfig(bytes.NewReader(body))
					if err != nil {
						return err
					}
					if uint64(size.Height) != height || uint64(size.Width) != width {
						return fmt.Errorf("the picture is %d × %d", size.Width, size.Height)
					}
					format = name
				}
				return nil
			})
			e.Images[tag] = fmt.Sprintf("%d × %d, %d, %s", width, height, space, format)
			return err
		default:
			return fmt.Errorf("Value has field %d", field)
		}
		return nil
	})
}

// eachField visits the fields of a message: a number, or bytes.
func eachField(message []byte, visit func(field protowire.Number, number uint64, body []byte) error) error {
	for len(message) > 0 {
		field, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		var number uint64
		var body []byte
		switch kind {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(message)
		case protowire.Fixed64Type:
			number, n = protowire.ConsumeFixed64(message)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(message)
			number = uint64(v)
		default:
			body, n = protowire.ConsumeBytes(message)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		if err := visit(field, number, body); err != nil {
			return err
		}
	}
	return nil
}

// A new file of events comes last by its name though the clock has gone back meanwhile.
func TestEventsStayInOrder(t *testing.T) {
	folder := t.TempDir()
	later := filepath.Join(folder, fmt.Sprintf("%s%d.host", report.EventsBegin, time.Now().Add(time.Hour).Unix()))
	if err := os.WriteFile(later, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := report.NewEventFile(folder, "")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 2 || entries[0].Name() != filepath.Base(later) {
		t.Errorf("files of events %v, %v", entries, err)
	}
}

// A run that is killed, resumed and started anew in one folder leaves every step once.
func TestEventsResume(t *testing.T) {
	folder := t.TempDir()
	steps := func() (got []int) {
		for _, e := range readEvents(t, folder) {
			got = append(got, e.Step)
		}
		return got
	}
	write := func(last int, at ...int) {
		t.Helper()
		log, err := report.OpenMetricsLog(folder, last)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		for _, step := range at {
			if err := log.Append(step, report.Numbers{"loss": float64(step) / 8, "residual": math.Inf(1), "gap": math.NaN()}); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(0, 10, 20, 21)
	names, _ := filepath.Glob(filepath.Join(folder, "events.*"))
	if len(names) != 1 {
		t.Fatalf("event files %v, want one", names)
	}
	file, err := os.OpenFile(names[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, torn := range []string{"\x10\x00\x00", "\x00\x00\x00\x00\x00\x00\x10\x00"} {
		if _, err := file.WriteString(torn); err != nil { // a killed run may leave this
			t.Fatal(err)
		}
	}
	file.Close()
	write(20, 21, 31)
	if d := cmp.Diff([]int{10, 20, 21, 31}, steps()); d != "" {
		t.Errorf("steps after a resumption at 20 (−want +got):\n%s", d)
	}
	write(31)
	write(40, 300)
	if d := cmp.Diff([]int{10, 20, 21, 31, 300}, steps()); d != "" {
		t.Errorf("steps after two resumptions more (−want +got):\n%s", d)
	}
	events := readEvents(t, folder)
	s := events[4].Scalars
	if s["loss"] != 37.5 || !math.IsInf(float64(s["residual"]), 1) || !math.IsNaN(float64(s["gap"])) || len(s) != 3 {
		t.Errorf("scalars of step 300: %v", s)
	}
	if !slices.IsSortedFunc(events, func(a, b event) int { return int(math.Copysign(1, a.Time-b.Time)) }) {
		t.Error("times run backwards")
	}
	write(0, 1)
	if d := cmp.Diff([]int{1}, steps()); d != "" {
		t.Errorf("steps of a new run in the folder of an old one (−want +got):\n%s", d)
	}
}

// The event files of a run have what is in metrics.jsonl and the figures of its end. The
// run also leaves a model.
func TestRunLeavesEventsAndModel(t *testing.T) {
	drawn := run.Definition[plane.Config]{Name: "drawn", Presets: plane.Moons.Presets, Do: func(ctx context.Context, r *run.Run, c *plane.Config) error {
		if err := plane.Moons.Do(ctx, r, c); err != nil {
			return err
		}
		var picture bytes.Buffer
		if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 5, 3))); err != nil {
			return err
		}
		r.AddFigure("grey.png", "")
		return os.WriteFile(r.Path("grey.png"), picture.Bytes(), 0o644)
	}}
	env := config.Variables("CMF_OUT="+t.TempDir(), "CMF_STEPS=6")
	r, err := run.Execute(t.Context(), drawn, env, nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	// A run resumed at its end draws its figures again.
	env = env.With("CMF_STEPS=8", "CMF_RESUME="+r.Path("checkpoint.safetensors"))
	for range 2 {
		if _, err := run.Execute(t.Context(), drawn, env, nil, &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
	}
	curves, err := report.ReadMetricsLog(r.Folder)
	if err != nil {
		t.Fatal(err)
	}
	events := readEvents(t, r.Folder)
	seen := map[string]int{}
	images := map[string]string{}
	for _, e := range events {
		for tag, v := range e.Scalars {
			s, k := curves[tag], seen[tag]
			if k >= len(s.X) || s.X[k] != float64(e.Step) || float32(s.Y[k]) != v && !math.IsNaN(s.Y[k]) {
				t.Errorf("%s is %v at step %d; metrics.jsonl has %v at %v", tag, v, e.Step, s.Y, s.X)
			}
			seen[tag]++
		}
		for tag, size := range e.Images {
			if images[tag] != "" || e.Step != 8 {
				t.Errorf("image %s at step %d", tag, e.Step)
			}
			images[tag] = size
		}
	}
	if seen["loss"] != 8 || len(seen) != len(curves) {
		t.Errorf("%d of %d metrics, %d losses; want 8", len(seen), len(curves), seen["loss"])
	}
	if images["grey"] != "5 × 3, 4, png" || len(images) != 1 {
		t.Errorf("images %v", images)
	}
	if model, err := os.ReadFile(r.Path("model.onnx")); err != nil || !bytes.Contains(model, []byte("layer0_skip")) {
		t.Errorf("model.onnx: %d bytes, %v", len(model), err)
	}
}
