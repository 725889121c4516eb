package main

import (
	"encoding/json"
	"fmt"
	"syscall/js"
	"time"
	"unsafe"

	"cmf/experiments/playground/learner"
	"cmf/graph/blas"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// page is what the script calls.
type page struct {
	plane   *learner.Learner
	viewer  *learner.Viewer
	drawing *learner.Drawing
}

func main() {
	if _, err := blas.Use("native", 1); err != nil {
		panic(err)
	}
	p := new(page)
	calls := js.Global().Get("Object").New()
	for name, call := range map[string]func(args []js.Value) (map[string]any, error){
		"learn":      p.learn,
		"loss":       p.loss,
		"step":       p.step,
		"points":     p.points,
		"see":        p.see,
		"draw":       p.draw,
		"drawn":      p.drawn,
		"checkpoint": p.checkpoint,
	} {
		calls.Set(name, guarded(call))
	}
	js.Global().Set("cmf", calls)
	js.Global().Call("ready")
	select {}
}

// guarded answers an error, or a panic, by its text.
func guarded(call func(args []js.Value) (map[string]any, error)) js.Func {
	return js.FuncOf(func(_ js.Value, args []js.Value) (answer any) {
		defer func() {
			if r := recover(); r != nil {
				answer = map[string]any{"error": fmt.Sprint(r)}
			}
		}()
		values, err := call(args)
		if err != nil {
			return map[string]any{"error": err.Error()}
		}
		return values
	})
}

// floats is a Float32Array of its own with the values.
func floats(v []float32) js.Value {
	bytes := js.Global().Get("Uint8Array").New(4 * len(v))
	if len(v) > 0 {
		js.CopyBytesToJS(bytes, unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), 4*len(v)))
	}
	return js.Global().Get("Float32Array").New(bytes.Get("buffer"))
}

// rows reads a Float32Array of points of the plane; null is none.
func rows(v js.Value) blas32.General {
	if v.IsNull() || v.IsUndefined() || v.Length() == 0 {
		return blas32.General{}
	}
	x := batch.New(v.Length()/2, 2)
	bytes := js.Global().Get("Uint8Array").New(v.Get("buffer"), v.Get("byteOffset"), v.Get("byteLength"))
	js.CopyBytesToGo(unsafe.Slice((*byte)(unsafe.Pointer(&x.Data[0])), 4*len(x.Data)), bytes)
	return x
}

// learn begins to learn: options as JSON, points.
func (p *page) learn(args []js.Value) (map[string]any, error) {
	var o learner.Options
	if err := json.Unmarshal([]byte(args[0].String()), &o); err != nil {
		return nil, fmt.Errorf("the options: %w", err)
	}
	l, err := learner.New(o, rows(args[1]))
	if err != nil {
		return nil, err
	}
	p.plane, p.viewer, p.drawing = l, new(learner.Viewer), nil
	n := min(l.Points.Rows, 3000)
	return map[string]any{
		"data": floats(batch.Rows(l.Points, 0, n).Data), "center": []any{l.Center[0], l.Center[1]}, "scale": l.Scale,
		"weights": l.Potential.Params().Count(),
	}, nil
}

// loss replaces the loss.
func (p *page) loss(args []js.Value) (map[string]any, error) {
	return map[string]any{}, p.plane.SetLoss(args[0].String())
}

// step makes steps for some milliseconds, at least one.
func (p *page) step(args []js.Value) (map[string]any, error) {
	start, patience := time.Now(), time.Duration(args[0].Float()*float64(time.Millisecond))
	var loss, residual []float32
	acceptance, iterations := 0., 0.
	most := args[1].Int()
	for !p.plane.Finished() && len(loss) < most && (len(loss) == 0 || time.Since(start) < patience) {
		info, err := p.plane.Step()
		if err != nil {
			return nil, err
		}
		loss, residual = append(loss, float32(info.Loss)), append(residual, float32(info.Conjugate.MaxResidual()))
		acceptance, iterations = info.Langevin.Acceptance, info.Conjugate.MeanIterations()
	}
	return map[string]any{
		"step": p.plane.State().Step, "of": p.plane.Options.Steps, "finished": p.plane.Finished(),
		"loss": floats(loss), "residual": floats(residual), "acceptance": acceptance, "iterations": iterations,
	}, nil
}

// points are particles and their images.
func (p *page) points([]js.Value) (map[string]any, error) {
	s := p.plane.State()
	distance, err := p.plane.Distance()
	return map[string]any{"noise": floats(s.Bank.Y.Data), "image": floats(s.Partners.Data), "distance": distance}, err
}

// see is a view of the model.
func (p *page) see([]js.Value) (map[string]any, error) {
	v, err := p.plane.See(p.viewer)
	if err != nil {
		return nil, err
	}
	square := func(s learner.Square) []any { return []any{s.X, s.Y, s.Half} }
	return map[string]any{
		"noise": square(v.Noise), "w": floats(v.W), "data": square(v.Data), "density": floats(v.Density), "warped": floats(v.Warped.Data),
		"cells": v.Cells, "lines": learner.Lines,
	}, nil
}

// draw begins to generate points: how many, after how many steps.
func (p *page) draw(args []js.Value) (map[string]any, error) {
	var err error
	p.drawing, err = p.plane.Draw(args[0].Int(), args[1].Int())
	return map[string]any{}, err
}

// drawn goes on with that, and has the points at the end.
func (p *page) drawn([]js.Value) (map[string]any, error) {
	done, err := p.drawing.Step()
	if err != nil || !done {
		return map[string]any{"done": p.drawing.Done()}, err
	}
	return map[string]any{"done": 1, "points": floats(p.drawing.Points().Data)}, nil
}

// checkpoint is the model as a file.
func (p *page) checkpoint([]js.Value) (map[string]any, error) {
	text, err := p.plane.Checkpoint()
	if err != nil {
		return nil, err
	}
	bytes := js.Global().Get("Uint8Array").New(len(text))
	js.CopyBytesToJS(bytes, text)
	return map[string]any{"file": bytes}, nil
}
