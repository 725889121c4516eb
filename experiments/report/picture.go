package report

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/gif"
	"image/png"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"cmf/experiments/figure"
)

// Picture is a figure inside a page. It is shown at half its size in pixels, because
// figures are drawn at twice the resolution of a page.
type Picture struct {
	Data          template.URL
	Width, Height int
	Caption       string
	Vector        bool            // lines on white, which a dark page may invert
	Still         template.Srcset // in place of an animation; empty for none
}

// Alt is the first sentence of the caption.
func (p Picture) Alt() string {
	first, _, _ := strings.Cut(p.Caption, ". ")
	return strings.TrimSuffix(first, ".")
}

// Most is the largest width at which the picture is shown: texts in it must not grow beyond
// those around it.
func (p Picture) Most() int { return 3 * p.Width / 2 }

// Wide says whether the picture would be too small on a phone.
func (p Picture) Wide() bool { return p.Width > 600 && p.Width > 2*p.Height }

// mostVector is the size in bytes of the largest SVG on a page.
const mostVector = 1 << 19

// NewPicture reads a figure of the folder: its SVG, if there is one that is not too large.
func NewPicture(folder string, f Figure) (Picture, error) {
	file, err := os.ReadFile(filepath.Join(folder, f.File))
	if err != nil {
		return Picture{}, err
	}
	size, format, err := image.DecodeConfig(bytes.NewReader(file)) // png, or gif
	if err != nil {
		return Picture{}, fmt.Errorf("figure %s: %w", f.File, err)
	}
	p := Picture{Width: size.Width / 2, Height: size.Height / 2, Caption: f.Caption}
	if format == "gif" {
		if p.Still, err = lastFrame(file); err != nil {
			return Picture{}, fmt.Errorf("figure %s: %w", f.File, err)
		}
	}
	if vector, ok := vectorOf(folder, f); ok && format == "png" {
		if file, err = os.ReadFile(vector); err != nil {
			return Picture{}, err
		}
		format, p.Vector = "svg+xml", true
	}
	p.Data = template.URL(dataURL("image/"+format, file))
	return p, nil
}

// linkedPicture is a figure of the folder by its name. The name carries the time of writing,
// so that a browser sees that the figure has been drawn again.
func linkedPicture(folder string, f Figure) (Picture, error) {
	opened, err := os.Open(filepath.Join(folder, f.File))
	if err != nil {
		return Picture{}, err
	}
	defer opened.Close()
	size, _, err := image.DecodeConfig(opened)
	if err != nil {
		return Picture{}, fmt.Errorf("figure %s: %w", f.File, err)
	}
	info, err := opened.Stat()
	if err != nil {
		return Picture{}, err
	}
	p := Picture{Width: size.Width / 2, Height: size.Height / 2, Caption: f.Caption}
	name := filepath.ToSlash(f.File)
	if _, p.Vector = vectorOf(folder, f); p.Vector {
		name = figure.VectorPath(name)
	}
	p.Data = template.URL(fmt.Sprintf("%s?%d", (&url.URL{Path: "./" + name}).EscapedPath(), info.ModTime().UnixNano()))
	return p, nil
}

// vectorOf is the SVG of a figure, if there is one that is not too large.
func vectorOf(folder string, f Figure) (path string, ok bool) {
	path = figure.VectorPath(filepath.Join(folder, f.File))
	info, err := os.Stat(path)
	return path, err == nil && info.Size() <= mostVector && filepath.Ext(f.File) == ".png"
}

// lastFrame is the last picture of an animation.
func lastFrame(file []byte) (template.Srcset, error) {
	film, err := gif.DecodeAll(bytes.NewReader(file))
	if err != nil {
		return "", err
	}
	still, err := pngURL(film.Image[len(film.Image)-1])
	return template.Srcset(still), err
}

func pngURL(picture image.Image) (string, error) {
	var file bytes.Buffer
	if err := png.Encode(&file, picture); err != nil {
		return "", err
	}
	return dataURL("image/png", file.Bytes()), nil
}

func dataURL(kind string, file []byte) string {
	return "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(file)
}

// Glimpse is a picture of a model in training, for a browser that follows the run. It is
// encoded only if a browser asks.
type Glimpse struct {
	image   image.Image
	caption string
	encoded func() (string, error)
}

// NewGlimpse is a glimpse of a picture, which must not change any more.
func NewGlimpse(picture image.Image, caption string) *Glimpse {
	return &Glimpse{picture, caption, sync.OnceValues(func() (string, error) { return pngURL(picture) })}
}

// Of says whether the glimpse is of this very picture.
func (g *Glimpse) Of(picture image.Image) bool { return g.image == picture }

func (g *Glimpse) picture() *Picture {
	data, err := g.encoded()
	if err != nil {
		return nil
	}
	size := g.image.Bounds().Size()
	return &Picture{Data: template.URL(data), Width: size.X / 2, Height: size.Y / 2, Caption: g.caption}
}
