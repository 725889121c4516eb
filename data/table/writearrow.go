package table

import (
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"

	"cmf/data/file"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// plainTypes are the types of Arrow that have no parameters.
var plainTypes = []arrow.DataType{
	arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64,
	arrow.PrimitiveTypes.Uint8, arrow.PrimitiveTypes.Uint16, arrow.PrimitiveTypes.Uint32, arrow.PrimitiveTypes.Uint64,
	arrow.FixedWidthTypes.Float16, arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64,
	arrow.FixedWidthTypes.Boolean, arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString, arrow.BinaryTypes.StringView,
	arrow.PrimitiveTypes.Date32, arrow.PrimitiveTypes.Date64, arrow.Null,
}

var (
	decimalName    = regexp.MustCompile(`^decimal(32|64|128|256)?\((\d+), (-?\d+)\)$`)
	stampName      = regexp.MustCompile(`^timestamp\[(s|ms|us|ns)(?:, tz=(.*))?\]$`)
	dictionaryName = regexp.MustCompile(`^dictionary<values=(.*), indices=(u?int\d+), ordered=(true|false)>$`)
)

// typeNamed is the type that arrow prints so, nil if there is none.
func typeNamed(name string) arrow.DataType {
	for _, t := range plainTypes {
		if t.String() == name {
			return t
		}
	}
	if m := decimalName.FindStringSubmatch(name); m != nil {
		precision, _ := strconv.ParseInt(m[2], 10, 32)
		scale, _ := strconv.ParseInt(m[3], 10, 32)
		id := map[string]arrow.Type{"32": arrow.DECIMAL32, "64": arrow.DECIMAL64, "": arrow.DECIMAL128, "128": arrow.DECIMAL128, "256": arrow.DECIMAL256}[m[1]]
		if t, err := arrow.NewDecimalType(id, int32(precision), int32(scale)); err == nil {
			return t
		}
	}
	if m := stampName.FindStringSubmatch(name); m != nil {
		unit := map[string]arrow.TimeUnit{"s": arrow.Second, "ms": arrow.Millisecond, "us": arrow.Microsecond, "ns": arrow.Nanosecond}[m[1]]
		return &arrow.TimestampType{Unit: unit, TimeZone: m[2]}
	}
	if m := dictionaryName.FindStringSubmatch(name); m != nil {
		values, indices := typeNamed(m[1]), typeNamed(m[2])
		if values != nil && indices != nil {
			return &arrow.DictionaryType{IndexType: indices, ValueType: values, Ordered: m[3] == "true"}
		}
	}
	return nil
}

// arrowType is the type in which a column is written.
func arrowType(c *Column) arrow.DataType {
	if t := typeNamed(c.Stored); t != nil {
		return t
	}
	switch c.Kind {
	case Integer:
		return arrow.PrimitiveTypes.Int64
	case Category:
		return &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	case Boolean:
		if slices.Equal(c.Labels, []string{"false", "true"}) {
			return arrow.FixedWidthTypes.Boolean
		}
		return arrow.BinaryTypes.String
	case Time:
		return &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: c.Clock.Zone}
	}
	return arrow.PrimitiveTypes.Float64
}

// arrowSink writes Parquet or Arrow.
type arrowSink struct {
	part   *file.Part
	schema *arrow.Schema
	write  func(arrow.RecordBatch) error
	end    func() error
	n      int
}

// open begins the file and its schema.
func newArrowSink(path string, like *Table) (*arrowSink, error) {
	fields := make([]arrow.Field, len(like.Columns))
	for j := range fields {
		fields[j] = arrow.Field{Name: like.Name(j), Type: arrowType(&like.Columns[j]), Nullable: true}
	}
	part, err := file.Create(path)
	if err != nil {
		return nil, err
	}
	return &arrowSink{part: part, schema: arrow.NewSchema(fields, nil)}, nil
}

func createParquet(path string, like *Table) (*arrowSink, error) {
	s, err := newArrowSink(path, like)
	if err != nil {
		return nil, err
	}
	// The writer closes what it writes to if it can.
	out := struct{ io.Writer }{s.part}
	w, err := pqarrow.NewFileWriter(s.schema, out, parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy)),
		pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		return nil, errors.Join(err, s.part.Abort())
	}
	s.write, s.end = w.Write, w.Close
	return s, nil
}

func createArrow(path string, like *Table) (*arrowSink, error) {
	s, err := newArrowSink(path, like)
	if err != nil {
		return nil, err
	}
	w, err := ipc.NewFileWriter(s.part, ipc.WithSchema(s.schema))
	if err != nil {
		return nil, errors.Join(err, s.part.Abort())
	}
	s.write, s.end = w.Write, w.Close
	return s, nil
}

func (s *arrowSink) rows(t *Table, from, to int) error {
	columns := make([]arrow.Array, len(t.Columns))
	for j := range columns {
		a, err := arrayOf(s.schema.Field(j).Type, &t.Columns[j], t.Columns[j].Values[from:to], s.n)
		if err != nil {
			return fmt.Errorf("column %d (%s): %w", j+1, t.Name(j), err)
		}
		columns[j] = a
	}
	s.n += to - from
	rec := array.NewRecordBatch(s.schema, columns, int64(to-from))
	defer rec.Release()
	return s.write(rec)
}

func (s *arrowSink) close() error {
	if err := s.end(); err != nil {
		return err
	}
	return s.part.Commit()
}

func (s *arrowSink) abort() error { return s.part.Abort() }

// arrayOf is the array of some values of a column; before is the number of rows
// before them.
func arrayOf(t arrow.DataType, c *Column, values []float64, before int) (arrow.Array, error) {
	if d, ok := t.(*arrow.DictionaryType); ok {
		return codedOf(d, c, values, before)
	}
	b := array.NewBuilder(memory.DefaultAllocator, t)
	b.Reserve(len(values))
	add, err := adding(b, t, c)
	if err != nil {
		return nil, err
	}
	for i, v := range values {
		if math.IsNaN(v) {
			b.AppendNull()
		} else if err := add(v); err != nil {
			return nil, fmt.Errorf("row %d: %w", before+i+1, err)
		}
	}
	return b.NewArray(), nil
}

// codedOf is a dictionary's array. The dictionary has all labels, so that it is
// the same in all parts of a file.
func codedOf(t *arrow.DictionaryType, c *Column, values []float64, before int) (arrow.Array, error) {
	if c.Kind != Category && !(c.Kind == Boolean && c.Labels != nil) {
		return arrayOf(t.ValueType, c, values, before)
	}
	words := &Column{Kind: Category, Labels: c.Labels, Stored: c.Stored}
	codes := &Column{Kind: Integer, Stored: t.IndexType.String()}
	all := make([]float64, len(c.Labels))
	for k := range all {
		all[k] = float64(k)
	}
	dictionary, err := arrayOf(t.ValueType, words, all, 0)
	if err != nil {
		return nil, err
	}
	indices, err := arrayOf(t.IndexType, codes, values, before)
	if err != nil {
		return nil, err
	}
	return array.NewDictionaryArray(t, indices, dictionary), nil
}

// adding is the function that appends a value that is not missing.
func adding(b array.Builder, t arrow.DataType, c *Column) (func(v float64) error, error) {
	switch b := b.(type) {
	case *array.BooleanBuilder:
		return func(v float64) error { b.Append(v != 0); return nil }, nil
	case array.StringLikeBuilder:
		if c.Labels == nil && c.Kind != Category {
			break
		}
		return func(v float64) error { b.Append(c.Labels[int(v)]); return nil }, nil
	case *array.Float16Builder:
		return anyReal(c, func(v float64) { b.Append(float16.New(float32(v))) }), nil
	case *array.Float32Builder:
		return anyReal(c, func(v float64) { b.Append(float32(v)) }), nil
	case *array.Float64Builder:
		return anyReal(c, b.Append), nil
	case *array.Int8Builder:
		return whole(c, math.MinInt8, math.MaxInt8, func(v float64) { b.Append(int8(v)) }), nil
	case *array.Int16Builder:
		return whole(c, math.MinInt16, math.MaxInt16, func(v float64) { b.Append(int16(v)) }), nil
	case *array.Int32Builder:
		return whole(c, math.MinInt32, math.MaxInt32, func(v float64) { b.Append(int32(v)) }), nil
	case *array.Int64Builder:
		return whole(c, math.MinInt64, math.MaxInt64, func(v float64) { b.Append(clampedInt(v)) }), nil
	case *array.Uint8Builder:
		return whole(c, 0, math.MaxUint8, func(v float64) { b.Append(uint8(v)) }), nil
	case *array.Uint16Builder:
		return whole(c, 0, math.MaxUint16, func(v float64) { b.Append(uint16(v)) }), nil
	case *array.Uint32Builder:
		return whole(c, 0, math.MaxUint32, func(v float64) { b.Append(uint32(v)) }), nil
	case *array.Uint64Builder:
		return whole(c, 0, 1<<63, func(v float64) { b.Append(uint64(v)) }), nil
	}
	return addingOther(b, t, c)
}

func addingOther(b array.Builder, t arrow.DataType, c *Column) (func(v float64) error, error) {
	switch {
	case c.Kind == Time:
		return addingTime(b, t, c)
	case t.ID() == arrow.DECIMAL32, t.ID() == arrow.DECIMAL64, t.ID() == arrow.DECIMAL128, t.ID() == arrow.DECIMAL256:
		scale := int(max(0, t.(arrow.DecimalType).GetScale()))
		return func(v float64) error {
			v, err := c.stored(v)
			if err != nil {
				return err
			}
			return b.AppendValueFromString(strconv.FormatFloat(v, 'f', scale, 64))
		}, nil
	}
	return nil, fmt.Errorf("values of kind %s cannot be written as %s", c.Kind, t)
}

func addingTime(b array.Builder, t arrow.DataType, c *Column) (func(v float64) error, error) {
	switch b := b.(type) {
	case *array.Date32Builder:
		return func(v float64) error {
			b.Append(arrow.Date32(floorDiv(c.Clock.instant(v).Unix(), day)))
			return nil
		}, nil
	case *array.Date64Builder:
		return func(v float64) error {
			b.Append(arrow.Date64(floorDiv(c.Clock.instant(v).Unix(), day) * day * 1000))
			return nil
		}, nil
	case *array.TimestampBuilder:
		per := perSecond(t.(*arrow.TimestampType).Unit.String())
		return func(v float64) error {
			at := c.Clock.instant(v)
			b.Append(arrow.Timestamp(at.Unix()*per + int64(at.Nanosecond())/(1e9/per)))
			return nil
		}, nil
	}
	return nil, fmt.Errorf("times cannot be written as %s", t)
}

func anyReal(c *Column, add func(v float64)) func(v float64) error {
	return func(v float64) error {
		v, err := c.stored(v)
		if err == nil {
			add(v)
		}
		return err
	}
}

// whole checks that a value lies in the range of a type of whole numbers.
func whole(c *Column, low, high float64, add func(v float64)) func(v float64) error {
	return func(v float64) error {
		v, err := c.stored(v)
		if err != nil {
			return err
		}
		if v = math.RoundToEven(v); v < low || v > high {
			return fmt.Errorf("%s is not a value of the type %s", short(v), c.Stored)
		}
		add(v)
		return nil
	}
}

// clampedInt is a whole number, of which 2⁶³ is rounded up from one below.
func clampedInt(v float64) int64 {
	if v >= 1<<63 {
		return math.MaxInt64
	}
	return int64(v)
}
