package sweep

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"time"

	"cmf/data/file"
	tables "cmf/data/table"
	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/report"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

var ablationTemplate = report.Template("ablation.html.tmpl")

// leadTable is the first table, with pictures of generated points.
type leadTable struct {
	table
	Sets     []string
	Data     []template.URL   // of each set; empty for none
	Pictures [][]template.URL // of each variant on each set
}

// pageView is what the page of an ablation shows.
type pageView struct {
	Ablation
	Report                          *report.Report
	Lead                            leadTable
	Others                          []table
	OfName, Time, Command, Shared   string
	Figures                         []report.Picture
	Settings                        []config.Setting
	Cells, Finished, Failed, AtOnce int
	List                            []listedCell

	Live    *report.Live // nil once the ablation has ended
	Running []runningCell
}

// listedCell is a line of the list of cells.
type listedCell struct {
	Variant, Set, Status, Seconds string
	Seed                          uint64
	Page                          string // its page by its path in the folder; empty for none
}

// writePage writes index.html, one file that needs no others: the leadTable, the other
// tables and the failures.
func (p *plan) writePage(r *report.Report, tables []table) error {
	lead, err := p.newLeadTable(tables[0])
	if err != nil {
		return err
	}
	view := p.view(r, lead, tables[1:])
	if view.Figures, err = p.draw(); err != nil {
		return err
	}
	text, err := report.Render(ablationTemplate, view)
	if err != nil {
		return err
	}
	return file.Write(filepath.Join(p.folder, "index.html"), func(w io.Writer) error { return file.Text(w, text) })
}

// readPage reads the page that writePage has left.
func (p *plan) readPage() ([]byte, error) { return os.ReadFile(filepath.Join(p.folder, "index.html")) }

// view is the page without the figures of the ablation.
func (p *plan) view(r *report.Report, lead leadTable, others []table) pageView {
	view := pageView{
		Ablation: p.Ablation, Report: r, Lead: lead, Others: others, Settings: p.settings,
		OfName: p.Of.Command(), Command: report.Command(p.Name, p.settings), Shared: p.Base.String(),
		Cells: len(p.cells), Failed: len(r.Notes), AtOnce: p.parallel,
	}
	total := 0.0
	for _, c := range p.cells {
		l := listedCell{Variant: c.Variant, Set: c.Set, Seed: c.Seed, Status: c.status()}
		if c.report != nil {
			view.Finished++
			total += c.report.Seconds
			l.Seconds = fmt.Sprintf("%.1f", c.report.Seconds)
			if within, err := filepath.Rel(p.folder, c.path("index.html")); err == nil {
				l.Page = filepath.ToSlash(within)
			}
		}
		view.List = append(view.List, l)
	}
	view.Time = time.Duration(total * float64(time.Second)).Round(time.Second).String()
	return view
}

// draw draws the additional figures of the ablation.
func (p *plan) draw() (pictures []report.Picture, err error) {
	if p.Draw == nil {
		return nil, nil
	}
	figures, err := p.Draw(p.folder, p.list())
	if err != nil {
		return nil, fmt.Errorf("its figures: %w", err)
	}
	for _, f := range figures {
		picture, err := report.NewPicture(p.folder, f)
		if err != nil {
			return nil, err
		}
		pictures = append(pictures, picture)
	}
	return pictures, nil
}

// newLeadTable draws, for each variant and set, the points that its first finished seed
// has generated, if they are in the plane.
func (p *plan) newLeadTable(t table) (leadTable, error) {
	g := leadTable{table: t, Sets: p.columns(), Data: make([]template.URL, len(p.columns()))}
	for range p.Variants {
		g.Pictures = append(g.Pictures, make([]template.URL, len(g.Sets)))
	}
	for k, set := range g.Sets {
		clouds := make([]blas32.General, 1+len(p.Variants)) // data, then variants
		if p.Points != nil {
			clouds[0] = p.Points(set)
		}
		for i, v := range p.Variants {
			points, err := p.samples(v.Name, set)
			if err != nil {
				return g, err
			}
			clouds[1+i] = points
		}
		box := squareBox(clouds)
		for i, points := range clouds {
			picture, err := drawDots(points, box)
			if err != nil {
				return g, err
			}
			if i == 0 {
				g.Data[k] = picture
			} else {
				g.Pictures[i-1][k] = picture
			}
		}
	}
	return g, nil
}

// samples are the points of the first finished seed, or an empty batch if it left none in
// the plane.
func (p *plan) samples(variant, set string) (blas32.General, error) {
	for _, c := range p.cells {
		if c.Variant != variant || c.Set != set || c.report == nil {
			continue
		}
		points, err := tables.ReadBatch(c.path("samples.npy"))
		if errors.Is(err, os.ErrNotExist) || err == nil && points.Cols != 2 {
			return blas32.General{}, nil
		}
		return points, err
	}
	return blas32.General{}, nil
}

// squareBox holds the data, or all clouds if there is no data.
func squareBox(clouds []blas32.General) figure.Box {
	if clouds[0].Rows > 0 {
		clouds = clouds[:1]
	}
	var s figure.Scene
	for _, points := range clouds {
		if points.Rows > 0 {
			s.Clouds = append(s.Clouds, figure.Cloud{Points: points})
		}
	}
	box := figure.BoxOf([]figure.Scene{s})
	half := 1.1 * max(box.MaxX-box.MinX, box.MaxY-box.MinY) / 2
	x, y := (box.MinX+box.MaxX)/2, (box.MinY+box.MaxY)/2
	return figure.Box{MinX: x - half, MaxX: x + half, MinY: y - half, MaxY: y + half}
}

const (
	pictureEdge = 240 // pixels, shown at half their size
	PictureDots = 2048
)

// drawDots is a picture of points: darker where more of them meet. Points beyond the box
// are on its edge in another colour. Without points there is no picture.
func drawDots(points blas32.General, box figure.Box) (template.URL, error) {
	if points.Rows == 0 {
		return "", nil
	}
	const beyond = 4 // the last of the colours
	shades := color.Palette{color.White, color.NRGBA{0x86, 0xae, 0xdc, 0xff}, color.NRGBA{0x3f, 0x80, 0xc6, 0xff}, color.NRGBA{0x16, 0x46, 0x80, 0xff}, figure.Colours[1]}
	img := image.NewPaletted(image.Rect(0, 0, pictureEdge, pictureEdge), shades)
	for i := range min(points.Rows, PictureDots) {
		p := batch.Row(points, i)
		x := (float64(p[0]) - box.MinX) / (box.MaxX - box.MinX)
		y := (box.MaxY - float64(p[1])) / (box.MaxY - box.MinY)
		if !batch.AllFinite([]float64{x, y}) {
			continue
		}
		at := image.Pt(int((pictureEdge-2)*min(1, max(0, x))), int((pictureEdge-2)*min(1, max(0, y))))
		outside := x < 0 || x > 1 || y < 0 || y > 1
		for _, d := range []image.Point{{0, 0}, {1, 0}, {0, 1}, {1, 1}} {
			pixel := &img.Pix[img.PixOffset(at.X+d.X, at.Y+d.Y)]
			if outside {
				*pixel = beyond
			} else if *pixel < beyond-1 {
				*pixel++
			}
		}
	}
	var file bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&file, img); err != nil {
		return "", err
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(file.Bytes())), nil
}
