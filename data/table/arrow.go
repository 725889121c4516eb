package table

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"cmf/data/table/claims"
	"cmf/data/table/text"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// limited refuses requests for memory that no honest file of its size needs: they
// come from damaged headers. It panics, as arrow has no other way to hear of it.
type limited struct {
	memory.Allocator
	left int64
}

func newLimited(size int64) *limited {
	return &limited{memory.NewGoAllocator(), 1<<26 + 1100*size}
}

func (l *limited) take(size int) {
	if l.left -= int64(size); l.left < 0 {
		panic(fmt.Sprintf("it asks for %d bytes at once", size))
	}
}

func (l *limited) Allocate(size int) []byte {
	l.take(size)
	return l.Allocator.Allocate(size)
}

func (l *limited) Reallocate(size int, b []byte) []byte {
	l.take(size - len(b))
	return l.Allocator.Reallocate(size, b)
}

func (l *limited) Free(b []byte) {
	l.left += int64(len(b))
	l.Allocator.Free(b)
}

// checkRows refuses claims of rows that no honest file of the size makes; columns
// that are constant take hardly any bytes.
func checkRows(rows int64, columns int, size int64) error {
	const free = 1 << 24
	most := min(maxValues, free*min(int64(columns), 16)+4096*size)
	if rows < 0 || rows > most/int64(max(1, columns)) {
		return fmt.Errorf("it claims %d rows of %d columns in %d bytes; at most %d values are read", rows, columns, size, most)
	}
	return nil
}

// readParquet reads a Parquet file one column after the other.
func (r *reader) readParquet(f *os.File, size int64) (*Table, error) {
	r.format.Name = "parquet"
	mem := newLimited(size)
	props := parquet.NewReaderProperties(mem)
	props.BufferedStreamEnabled = true
	in, err := file.NewParquetReader(io.NewSectionReader(f, 0, size), file.WithReadProps(props))
	if err != nil {
		return nil, fmt.Errorf("as Parquet: %w", err)
	}
	defer in.Close()
	if err := claims.Stored(in); err != nil {
		return nil, err
	}
	const batch = 1 << 14
	p, err := pqarrow.NewFileReader(in, pqarrow.ArrowReadProperties{BatchSize: batch}, mem)
	if err != nil {
		return nil, fmt.Errorf("as Parquet: %w", err)
	}
	schema, err := p.Schema()
	if err != nil {
		return nil, fmt.Errorf("as Parquet: %w", err)
	}
	rows := in.NumRows()
	if err := checkRows(rows, schema.NumFields(), size); err != nil {
		return nil, err
	}
	columns, err := r.columnsOf(schema)
	if err != nil {
		return nil, err
	}
	for j, c := range columns {
		if c == nil {
			continue
		}
		if err := readParquetColumn(p, j, rows, c); err != nil {
			return nil, fmt.Errorf("column %d (%s): %w", j+1, called(c.name, j), err)
		}
	}
	return r.collect(columns, rows)
}

func readParquetColumn(p *pqarrow.FileReader, j int, rows int64, c *arrowColumn) error {
	in, err := p.GetColumn(context.Background(), j)
	if err != nil {
		return err
	}
	defer in.Release()
	const batch = 1 << 14
	for int64(c.rows) < rows {
		data, err := in.NextBatch(batch)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if data == nil || data.Len() == 0 {
			return fmt.Errorf("it has %d rows; the file has %d", c.rows, rows)
		}
		for _, part := range data.Chunks() {
			if err := c.add(part); err != nil {
				return err
			}
		}
		data.Release()
	}
	if int64(c.rows) != rows {
		return fmt.Errorf("it has %d rows; the file has %d", c.rows, rows)
	}
	c.finish()
	return nil
}

// readArrow reads an Arrow IPC file, which is Feather version 2.
func (r *reader) readArrow(f *os.File, size int64, ext string) (*Table, error) {
	if err := claims.File(f, size); err != nil {
		return nil, err
	}
	in, err := ipc.NewFileReader(io.NewSectionReader(f, 0, size), ipc.WithAllocator(newLimited(size)), ipc.WithBodySizeLimit(size), ipc.WithMetadataSizeLimit(size))
	if err != nil {
		return nil, fmt.Errorf("as Arrow: %w", err)
	}
	defer in.Close()
	next := 0
	return r.readRecords(in.Schema(), size, ext, func() (arrow.RecordBatch, error) {
		if next >= in.NumRecords() {
			return nil, io.EOF
		}
		next++
		return in.RecordBatchAt(next - 1)
	})
}

// readArrowStream reads an Arrow IPC stream.
func (r *reader) readArrowStream(f *os.File, size int64, ext string) (*Table, error) {
	start := make([]byte, min(size, 1<<24))
	if _, err := f.ReadAt(start, 0); err != nil {
		return nil, err
	}
	if err := claims.Stream(start); err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	limits := []ipc.Option{ipc.WithAllocator(newLimited(size)), ipc.WithBodySizeLimit(size), ipc.WithMetadataSizeLimit(size)}
	in, err := ipc.NewReaderFromMessageReader(ipc.NewMessageReader(f, limits...), limits...) // ipc.NewReader leaves limits out
	if err != nil {
		return nil, fmt.Errorf("as an Arrow stream: %w", err)
	}
	defer in.Release()
	r.notef("the file is an Arrow stream; tables are written as Arrow files")
	return r.readRecords(in.Schema(), size, ext, func() (arrow.RecordBatch, error) {
		rec, err := in.Read()
		if err == nil {
			rec.Retain() // the next reading releases it
		}
		return rec, err
	})
}

func (r *reader) readRecords(schema *arrow.Schema, size int64, ext string, next func() (arrow.RecordBatch, error)) (*Table, error) {
	r.format.Name = "arrow"
	if ext == ".feather" {
		r.format.Name = "feather"
	}
	columns, err := r.columnsOf(schema)
	if err != nil {
		return nil, err
	}
	rows := int64(0)
	for {
		rec, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("as Arrow: %w", err)
		}
		rows += rec.NumRows()
		if err := checkRows(rows, len(columns), size); err != nil {
			return nil, err
		}
		for j, c := range columns {
			if c == nil {
				continue
			}
			if err := c.add(rec.Column(j)); err != nil {
				return nil, fmt.Errorf("column %d (%s): %w", j+1, called(c.name, j), err)
			}
		}
		rec.Release()
	}
	for _, c := range columns {
		if c != nil {
			c.finish()
		}
	}
	return r.collect(columns, rows)
}

// columnsOf are the columns of a schema, nil for those to skip. A type that is no
// column of values is an error that names it.
func (r *reader) columnsOf(schema *arrow.Schema) ([]*arrowColumn, error) {
	names := make([]string, schema.NumFields())
	for j, f := range schema.Fields() {
		names[j] = f.Name
	}
	names, err := r.uniqueNames(names)
	if err != nil {
		return nil, err
	}
	columns := make([]*arrowColumn, len(names))
	for j, f := range schema.Fields() {
		if r.o.Hints[called(names[j], j)].Skip {
			r.leftOut = append(r.leftOut, names[j])
			continue
		}
		c := &arrowColumn{name: names[j]}
		if err := c.setType(f.Type); err != nil {
			return nil, fmt.Errorf("column %d (%s) is of type %q; allowed are numbers, booleans, texts, dates and time stamps (CMF_COLUMNS=%s leaves it out)",
				j+1, called(names[j], j), clipped(f.Type.String()), HintText(called(names[j], j), "skip"))
		}
		columns[j] = c
	}
	return columns, nil
}

// collect is the table of the columns that are not nil.
func (r *reader) collect(columns []*arrowColumn, rows int64) (*Table, error) {
	t := &Table{Format: r.format}
	r.places = []int{}
	for j, c := range columns {
		if c == nil {
			continue
		}
		if int64(len(c.out.Values)) != rows {
			return nil, fmt.Errorf("column %d has %d rows; the table has %d", j+1, len(c.out.Values), rows)
		}
		c.out.Name = c.name
		t.Columns = append(t.Columns, c.out)
		r.places = append(r.places, j)
	}
	return t, nil
}

// arrowColumn is a column of a Parquet or Arrow file while it is read.
type arrowColumn struct {
	name   string
	out    Column
	rows   int
	values chunks
	texts  texts
	stamps stamps
}

var errTime = errors.New("a time lies outside of the years -9999 to 9999")

var errType = errors.New("its type is not read")

// setType derives the kind of the column.
func (c *arrowColumn) setType(t arrow.DataType) error {
	c.out = Column{Stored: t.String(), Kind: Real, Decimals: -1}
	if d, ok := t.(*arrow.DictionaryType); ok {
		t = d.ValueType
	}
	switch t := t.(type) {
	case *arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type, *arrow.Int64Type, *arrow.Uint8Type, *arrow.Uint16Type, *arrow.Uint32Type, *arrow.Uint64Type:
		c.out.Kind, c.out.Decimals = Integer, 0
	case *arrow.Float16Type, *arrow.Float32Type, *arrow.Float64Type, *arrow.NullType:
	case arrow.DecimalType:
		const most = 76 // digits of a number of 256 bits
		if t.GetPrecision() > most || t.GetScale() > most || t.GetScale() < -most {
			return errType
		}
		c.out.Decimals = int(max(0, t.GetScale()))
		if t.GetScale() <= 0 {
			c.out.Kind = Integer
		}
	case *arrow.BooleanType:
		c.out.Kind, c.out.Labels, c.out.Decimals = Boolean, []string{"false", "true"}, 0
	case *arrow.StringType, *arrow.LargeStringType, *arrow.StringViewType:
		c.out.Kind, c.out.Decimals = Category, 0
	case *arrow.Date32Type, *arrow.Date64Type:
		c.out.Kind, c.out.Clock, c.out.Decimals = Time, &Clock{}, 0
	case *arrow.TimestampType:
		c.out.Kind, c.out.Clock, c.out.Decimals = Time, &Clock{Zone: t.TimeZone}, 0
	default:
		return errType
	}
	return nil
}

// add appends the values of an array.
func (c *arrowColumn) add(a arrow.Array) error {
	c.rows += a.Len()
	if _, ok := a.(*array.Null); !ok && a.Data() != nil {
		if v, ok := a.(interface{ ValidateFull() error }); ok {
			if err := v.ValidateFull(); err != nil {
				return err
			}
		}
	}
	if c.out.Kind == Time {
		return c.addTimes(a)
	}
	at, err := c.reading(a)
	if err != nil {
		return err
	}
	for i := range a.Len() {
		if a.IsNull(i) {
			c.values.add(math.NaN())
		} else {
			c.values.add(at(i))
		}
	}
	return nil
}

// reading is the function that reads values of the array that are not null.
func (c *arrowColumn) reading(a arrow.Array) (func(i int) float64, error) {
	switch a := a.(type) {
	case *array.Null:
		return func(int) float64 { return math.NaN() }, nil
	case *array.Boolean:
		return func(i int) float64 {
			if a.Value(i) {
				return 1
			}
			return 0
		}, nil
	case *array.Dictionary:
		return c.coded(a)
	case array.StringLike:
		return func(i int) float64 { return c.texts.code(a.Value(i)) }, nil
	case *array.Int8:
		return func(i int) float64 { return float64(a.Value(i)) }, nil
	case *array.Int16:
		return func(i int) float64 { return float64(a.Value(i)) }, nil
	case *array.Int32:
		return func(i int) float64 { return float64(a.Value(i)) }, nil
	case *array.Int64:
		return func(i int) float64 { return float64(a.Value(i)) }, nil
	case *array.Uint8:
		return func(i int) float64 { return float64(a.Value(i)) }, nil
	case *array.Uint16:
		return func(i int) float64 { return float64(a.Value(i)) }, nil
	case *array.Uint32:
		return func(i int) float64 { return float64(a.Value(i)) }, nil
	case *array.Uint64:
		return func(i int) float64 { return float64(a.Value(i)) }, nil
	case *array.Float16:
		return func(i int) float64 { return float64(a.Value(i).Float32()) }, nil
	case *array.Float32:
		return func(i int) float64 { return float64(a.Value(i)) }, nil
	case *array.Float64:
		return func(i int) float64 { return a.Value(i) }, nil
	}
	return c.decimals(a)
}

// decimals are read by their texts, which are exact.
func (c *arrowColumn) decimals(a arrow.Array) (func(i int) float64, error) {
	if _, ok := a.DataType().(arrow.DecimalType); !ok {
		return nil, errType
	}
	return func(i int) float64 {
		v, _, _, ok := text.ParseNumber(a.ValueStr(i), false)
		if !ok {
			return math.NaN()
		}
		return v
	}, nil
}

// coded reads a dictionary's values where they are first used.
func (c *arrowColumn) coded(a *array.Dictionary) (func(i int) float64, error) {
	values := a.Dictionary()
	at, err := c.reading(values)
	if err != nil {
		return nil, err
	}
	known := make([]float64, values.Len())
	for k := range known {
		known[k] = math.Inf(1)
	}
	return func(i int) float64 {
		k := a.GetValueIndex(i)
		if math.IsInf(known[k], 1) {
			known[k] = math.NaN()
			if !values.IsNull(k) {
				known[k] = at(k)
			}
		}
		return known[k]
	}, nil
}

func (c *arrowColumn) addTimes(a arrow.Array) error {
	var at func(i int) time.Time
	switch a := a.(type) {
	case *array.Date32:
		at = func(i int) time.Time { return time.Unix(int64(a.Value(i))*day, 0) }
	case *array.Date64:
		at = func(i int) time.Time { return time.UnixMilli(int64(a.Value(i))) }
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		per := int64(time.Second / unit.Multiplier())
		at = func(i int) time.Time {
			v := int64(a.Value(i))
			whole := floorDiv(v, per)
			return time.Unix(whole, (v-whole*per)*(1e9/per))
		}
	default:
		return errType
	}
	for i := range a.Len() {
		if a.IsNull(i) {
			c.stamps.missing()
			continue
		}
		stamp := at(i).UTC()
		if y := stamp.Year(); y < -9999 || y > 9999 {
			return fmt.Errorf("row %d: %w", i+1, errTime)
		}
		c.stamps.add(stamp)
	}
	return nil
}

// finish joins the values.
func (c *arrowColumn) finish() {
	if c.out.Kind == Time {
		zone := c.out.Clock.Zone
		values, clock := c.stamps.column()
		clock.Zone = zone
		c.out.Values, c.out.Clock = values, &clock
	} else {
		c.out.Values = c.values.joined()
	}
	if c.out.Values == nil {
		c.out.Values = []float64{}
	}
	if c.out.Kind == Category {
		c.out.Labels = c.texts.labels
	}
}
