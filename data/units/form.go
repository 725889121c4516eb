package units

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"cmf/data/margins"
)

// Form says what the data's points are: rows of a table, pictures, or neither
// of these.
type Form struct {
	// Columns name the coordinates of a table, nil where it has no names.
	Columns []string

	// Table is true for points that came from a table; they are written as a
	// table too.
	Table bool

	// Height and Width are the size of pictures in pixels: d is H·W grey values
	// or 3·H·W of colour.
	Height, Width int
}

// Picture reports whether points are pictures.
func (f Form) Picture() bool { return f.Height > 0 }

// Name is the name of coordinate j, counted from 0.
func (f Form) Name(j int) string {
	if f.Columns != nil {
		return f.Columns[j]
	}
	return fmt.Sprintf("x%d", j+1)
}

// Check says what is wrong with the form of points of d coordinates.
func (f Form) Check(d int) error {
	switch area := f.Height * f.Width; {
	case len(f.Columns) != 0 && len(f.Columns) != d:
		return fmt.Errorf("names of %d columns for points of %d coordinates", len(f.Columns), d)
	case f.Height < 0 || f.Width < 0 || f.Height > d || f.Width > d || area != 0 && area != d && 3*area != d:
		return fmt.Errorf("pictures of %d×%d pixels for points of %d coordinates", f.Height, f.Width, d)
	}
	return nil
}

// stored is the form in which a checkpoint holds units and form. The arrays of
// Principal are kept beside it.
type stored struct {
	Center        []float64 `json:",omitempty"`
	Scale         []float64 `json:",omitempty"`
	Lower         []float64 `json:",omitempty"`
	Upper         []float64 `json:",omitempty"`
	Alpha         float64   `json:",omitempty"`
	Height, Width int       `json:",omitempty"`
	Columns       []string  `json:",omitempty"`
	Table         bool      `json:",omitempty"`

	Margins *margins.Margins `json:",omitempty"`
}

// Marshal writes units and form as JSON, without the arrays of Principal. The
// text is null where u is nil.
func Marshal(u Units, f Form) ([]byte, error) {
	s := stored{Height: f.Height, Width: f.Width, Columns: f.Columns, Table: f.Table}
	switch u := u.(type) {
	case nil:
		return []byte("null"), nil
	case Affine:
		s.Center, s.Scale = u.Center, u.Scale
	case Box:
		s.Lower, s.Upper, s.Center, s.Scale = u.Lower, u.Upper, u.Center, u.Scale
	case Pixels:
		s.Center, s.Alpha = u.Center, u.Alpha
	case *Principal:
		s.Alpha = u.Alpha
	case *margins.Margins:
		s.Margins = u
	default:
		return nil, fmt.Errorf("units of type %T cannot be stored; known are Affine, Box, Pixels, *Principal and *margins.Margins", u)
	}
	return json.Marshal(s)
}

// Unmarshal reads what Marshal wrote. p holds the arrays of Principal and
// receives its α; it is nil where there are none.
func Unmarshal(text []byte, p *Principal) (Units, Form, error) {
	var s *stored
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return nil, Form{}, err
	}
	if s == nil {
		if p != nil {
			return nil, Form{}, errors.New("principal directions without units")
		}
		return nil, Form{}, nil
	}
	f := Form{Columns: s.Columns, Table: s.Table, Height: s.Height, Width: s.Width}
	switch {
	case s.Margins != nil:
		if s.Alpha != 0 || p != nil || s.Center != nil || s.Scale != nil || s.Lower != nil || s.Upper != nil {
			return nil, f, errors.New("units of columns with other units besides")
		}
		return s.Margins, f, nil
	case s.Lower != nil || s.Upper != nil:
		if s.Alpha != 0 || p != nil {
			return nil, f, errors.New("units of a box with other units besides")
		}
		return Box{Lower: s.Lower, Upper: s.Upper, Center: s.Center, Scale: s.Scale}, f, nil
	case s.Alpha == 0 && p == nil:
		return Affine{Center: s.Center, Scale: s.Scale}, f, nil
	case s.Scale != nil:
		return nil, f, fmt.Errorf("units of pixels with %d scales; they have none", len(s.Scale))
	case p == nil:
		return Pixels{Alpha: s.Alpha, Center: s.Center}, f, nil
	case s.Center != nil:
		return nil, f, errors.New("units of principal directions with centres besides their own")
	}
	p.Alpha = s.Alpha
	return p, f, nil
}
