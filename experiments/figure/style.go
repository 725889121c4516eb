package figure

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"strconv"
	"strings"

	"cmf/data/file"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Unpadded hides a plotter's glyph boxes. For these gonum/plot would narrow
// some panels more than others.
type Unpadded struct{ plot.Plotter }

// mostPixels limits a figure, at 4 bytes a pixel.
const mostPixels = 5e7

// Error says that the figure of a file could not be drawn. Whatever else a run has done is
// not affected.
type Error struct {
	Path string
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("figure %s: %v", e.Path, e.Err) }

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// guard makes an Error of the error, or the panic, with which drawing ends: gonum/plot
// panics on what it cannot draw. It is deferred.
func guard(path string, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%v", r)
	}
	if known := (*Error)(nil); *err != nil && !errors.As(*err, &known) {
		*err = &Error{path, *err}
	}
}

// Render draws rows of panels, and a legend to their right when it has entries,
// at 192 dots per inch: twice the resolution of a page. With a box, the data
// area of each panel has the proportions of the box, unless it would be too narrow
// to see. Without one, all panels have the same size, and labels extend beyond the
// tiles.
//
// If the figure has at most MostMarks marks, it is also written as SVG beside the PNG.
// Every error is an Error; a size that is not positive and finite, or of more than
// 5·10⁷ pixels, is one.
func Render(path string, width, height vg.Length, panels [][]*plot.Plot, legend plot.Legend, box *Box) (err error) {
	defer guard(path, &err)
	entries := legend.Rectangle(draw.Canvas{Canvas: vgimg.New(1, 1)}).Size()
	side := vg.Length(0)
	if entries.X > 0 {
		side = entries.X + 3*gap
	}
	if w, h := float64((width+side)/vg.Inch), float64(height/vg.Inch); !(w > 0 && h > 0 && w*h*dpi*dpi <= mostPixels) {
		return fmt.Errorf("a canvas of %g × %g inches; both must be positive, and the figure at most %g pixels", w, h, mostPixels)
	}
	if len(panels) == 0 || len(panels[0]) == 0 {
		return errors.New("no panel to draw")
	}
	paint := func(c vg.Canvas) (marks int) {
		whole := clippedTo(c, width+side, height, &marks)
		if side > 0 {
			legend.Draw(draw.Crop(whole, width, -gap, gap, -3*gap))
		}
		drawPanels(draw.Crop(whole, 0, -side, 0, 0), panels, box)
		return marks
	}
	img := vgimg.NewWith(vgimg.UseWH(width+side, height), vgimg.UseDPI(dpi), vgimg.UseBackgroundColor(color.White))
	marks := paint(img)
	err = file.Write(path, func(w io.Writer) error {
		_, err := vgimg.PngCanvas{Canvas: img}.WriteTo(w)
		return err
	})
	if err != nil {
		return err
	}
	return writeVector(path, width+side, height, marks, paint)
}

// dpi is the resolution of figures, in dots per inch.
const dpi = 192

// drawPanels draws the panels on a canvas.
func drawPanels(area draw.Canvas, panels [][]*plot.Plot, box *Box) {
	tiles := draw.Tiles{
		Rows: len(panels), Cols: len(panels[0]), PadX: gap, PadY: gap,
		PadTop: gap, PadBottom: gap, PadLeft: gap, PadRight: gap,
	}
	if box == nil {
		tiles.PadX, tiles.PadY = 3.5*gap, 2*gap
		for _, line := range panels {
			for _, p := range line {
				f := frame(p, area)
				tiles.PadLeft, tiles.PadBottom = max(tiles.PadLeft, gap+f.Min.X), max(tiles.PadBottom, gap+f.Min.Y)
				tiles.PadRight, tiles.PadTop = max(tiles.PadRight, gap+f.Max.X), max(tiles.PadTop, gap+f.Max.Y)
			}
		}
	}
	for i, line := range panels {
		for j, p := range line {
			p.BackgroundColor = nil // it would cover the labels of the panel before
			tile := tiles.At(area, j, i)
			if box != nil {
				p.Draw(proportioned(tile, p, *box))
				continue
			}
			c := tile
			for range 4 { // the frame varies a little with the room
				f := frame(p, c)
				c = draw.Crop(tile, -f.Min.X, f.Max.X, -f.Min.Y, f.Max.Y)
			}
			p.Draw(c)
		}
	}
}

// frame is the space that titles and labels take on a canvas: Min to the left
// and below, Max to the right and above.
func frame(p *plot.Plot, c draw.Canvas) (f vg.Rectangle) {
	widen(p)
	inner := p.DataCanvas(c)
	f.Min, f.Max = inner.Min.Sub(c.Min), c.Max.Sub(inner.Max)
	return f
}

// widen gives a logarithmic axis with a single value an octave on both sides of it.
// gonum/plot would take 1 on both sides, and a logarithm has no end below 0.
func widen(p *plot.Plot) {
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		if _, log := a.Scale.(plot.LogScale); log && a.Min == a.Max {
			a.Min, a.Max = a.Min/2, a.Max*2
		}
	}
}

// leastEdge is the least width and height of the data area of a panel.
const leastEdge vg.Length = 7

// proportioned crops a tile so that the data area of p has equal units on both axes. Where
// the area would become narrower than leastEdge, or its labels leave it no room, it stays
// wider.
func proportioned(tile draw.Canvas, p *plot.Plot, box Box) draw.Canvas {
	w, h := box.MaxX-box.MinX, box.MaxY-box.MinY
	c := tile
	for range 4 { // the frame varies a little with the room
		f := frame(p, c)
		room := tile.Size().Sub(f.Min).Sub(f.Max)
		unit := min(float64(room.X)/w, float64(room.Y)/h)
		dx := min(room.X-vg.Length(unit*w), room.X-leastEdge) / 2
		dy := min(room.Y-vg.Length(unit*h), room.Y-leastEdge) / 2
		dx, dy = max(0, dx), max(0, dy)
		next := draw.Crop(tile, dx, -dx, dy, -dy)
		if size := p.DataCanvas(next).Size(); size.X < leastEdge/2 || size.Y < leastEdge/2 {
			break
		}
		c = next
	}
	return c
}

const gap vg.Length = 8

// Colours tell the series and clouds of one figure apart; ink is for text.
var (
	ink     = color.NRGBA{0x2b, 0x2f, 0x38, 0xff}
	faint   = color.NRGBA{0xe6, 0xe8, 0xec, 0xff}
	Pale    = color.NRGBA{0xbd, 0xd2, 0xea, 0xff}
	Colours = []color.NRGBA{
		{0x2a, 0x6f, 0xbb, 0xff}, {0xd9, 0x6b, 0x1a, 0xff}, {0x2f, 0x8f, 0x5b, 0xff}, {0x8a, 0x54, 0xa6, 0xff},
		{0xc0, 0x39, 0x2b, 0xff}, {0x6b, 0x72, 0x80, 0xff}, {0x12, 0x92, 0xa0, 0xff}, {0xa8, 0x8a, 0x16, 0xff},
	}
)

func faded(c color.Color) color.Color {
	r, g, b, _ := c.RGBA()
	return color.NRGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 0x90}
}

func Stroke(c color.Color, width vg.Length) draw.LineStyle {
	return draw.LineStyle{Color: c, Width: width}
}

func sans(size vg.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

func NewPlot(axes Axes) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.Title.Padding = axes.Title, 6
	p.Title.TextStyle.Font, p.Title.TextStyle.Color = sans(11), ink
	for _, a := range []struct {
		axis *plot.Axis
		name string
		log  bool
	}{{&p.X, axes.X, axes.LogX}, {&p.Y, axes.Y, axes.LogY}} {
		a.axis.Label.Text, a.axis.Label.Padding = a.name, 3
		a.axis.Label.TextStyle.Font, a.axis.Label.TextStyle.Color = sans(10), ink
		a.axis.Tick.Label.Font, a.axis.Tick.Label.Color = sans(9), ink
		a.axis.LineStyle, a.axis.Tick.LineStyle = Stroke(ink, .5), Stroke(ink, .5)
		a.axis.Tick.Length, a.axis.Padding, a.axis.Tick.Marker = 3, 0, plainTicks{}
		if a.log {
			a.axis.Scale, a.axis.Tick.Marker = plot.LogScale{}, logTicks{}
		}
	}
	return p
}

// plainTicks are gonum/plot's ticks without trailing zeros: 2.5 and 0, not 2.50
// and 0.00.
type plainTicks struct{}

func (plainTicks) Ticks(low, high float64) []plot.Tick {
	if !(low < high) {
		return nil
	}
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	// Six digits hide the rounding of sums such as 0.1 + 0.2. More are needed to tell ticks
	// apart far from 0.
	digits := max(6, min(15, 2+int(math.Ceil(math.Log10(max(math.Abs(low), math.Abs(high))/(high-low))))))
	for i, t := range ticks {
		if t.Label != "" {
			ticks[i].Label = strings.ReplaceAll(fmt.Sprintf("%.*g", digits, t.Value), "-", "−")
		}
	}
	return ticks
}

func NewGrid() *plotter.Grid {
	g := plotter.NewGrid()
	g.Horizontal, g.Vertical = Stroke(faint, .5), Stroke(faint, .5)
	return g
}

func NewLegend() plot.Legend {
	l := plot.NewLegend()
	l.Top, l.Left, l.ThumbnailWidth, l.Padding = true, true, 16, 3
	l.TextStyle.Font, l.TextStyle.Color = sans(9.5), ink
	return l
}

// logTicks mark 1 to 9 times powers of ten. They label the powers, and where fewer than
// two of these are in sight, 2 and 5 times powers too.
type logTicks struct{}

func (logTicks) Ticks(low, high float64) (ticks []plot.Tick) {
	const slack = 1e-9 // of a power that is an end of the axis
	from, to := int(math.Floor(math.Log10(low)+slack)), int(math.Ceil(math.Log10(high)-slack))
	powers := int(math.Floor(math.Log10(high)+slack)) - int(math.Ceil(math.Log10(low)-slack)) + 1
	for k := from; k <= to; k++ {
		for digit := 1; digit <= 9; digit++ {
			t := plot.Tick{Value: float64(digit) * math.Pow10(k)}
			if digit == 1 || powers < 2 && (digit == 2 || digit == 5) {
				t.Label = strconv.FormatFloat(t.Value, 'g', -1, 32)
			}
			if t.Value >= low*(1-slack) && t.Value <= high*(1+slack) {
				ticks = append(ticks, t)
			}
		}
	}
	return ticks
}
