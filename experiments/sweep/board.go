package sweep

import (
	"context"
	"path"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/experiments/watch"
)

// board is what browsers see of an ablation while its cells run: the tables of those that
// have ended, and how far the others are. Without a server it does nothing.
type board struct {
	plan    *plan
	server  *watch.Server
	started time.Time

	lock    sync.Mutex
	settled []cell // the plan's cells as they stand, copied when they end
	running map[*cell]bool

	drawing sync.Mutex
	drawn   int // how many cells had ended when the next were made; -1 for never
	lead    leadTable
	tables  []table
	asked   time.Time // when text was made
	text    []byte
}

// runningCell is a cell that is being run, with the loss so far.
type runningCell struct {
	Name     string
	Step, Of int
	Chart    *report.Chart // nil for none
}

// begin takes the cells as they stand before any is run.
func (b *board) begin() {
	b.drawn = -1
	for k, c := range b.plan.cells {
		b.settled[k] = *c
	}
	b.show()
}

func (b *board) start(c *cell) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.running[c] = true
}

// settle takes a cell that has ended.
func (b *board) settle(c *cell) {
	b.lock.Lock()
	for k := range b.plan.cells {
		if b.plan.cells[k] == c {
			b.settled[k] = *c
		}
	}
	delete(b.running, c)
	b.lock.Unlock()
	b.show()
}

// show lets browsers see the files of the cells that have ended.
func (b *board) show() {
	if b.server == nil {
		return
	}
	b.server.Show(watch.Site{Folder: b.plan.folder, Files: b.files(), Page: b.page})
}

func (b *board) files() map[string]bool {
	all := map[string]bool{"config.env": true}
	b.lock.Lock()
	defer b.lock.Unlock()
	for _, c := range b.settled {
		within, err := filepath.Rel(b.plan.folder, c.folder)
		if err != nil || !c.settled() {
			continue
		}
		for _, name := range append(run.FilesIn(c.folder), "log.txt") {
			all[path.Join(filepath.ToSlash(within), filepath.ToSlash(name))] = true
		}
	}
	return all
}

// page is the page as the cells stand. It is made at most once in half a second.
func (b *board) page() ([]byte, error) {
	b.drawing.Lock()
	defer b.drawing.Unlock()
	if time.Since(b.asked) < time.Second/2 {
		return b.text, nil
	}
	p, ended, going := b.now()
	if ended != b.drawn {
		b.tables = nil
		for _, h := range p.Metrics {
			b.tables = append(b.tables, p.tabulate(h))
		}
		var err error
		if b.lead, err = p.newLeadTable(b.tables[0]); err != nil {
			return nil, err
		}
		b.drawn = ended
	}
	view := p.view(p.report(b.started, b.tables), b.lead, b.tables[1:])
	view.Live = &report.Live{Doing: "running cells", Unit: "cell", Step: ended, Of: len(p.cells)}
	for k, c := range p.cells {
		if !going[k] {
			continue
		}
		view.List[k].Status = "running"
		view.Running = append(view.Running, c.soFar())
	}
	text, err := report.Render(ablationTemplate, view)
	if err == nil {
		b.text, b.asked = text, time.Now()
	}
	return text, err
}

// now is the plan with its cells as they stand, how many have ended, and which are running.
func (b *board) now() (p *plan, ended int, going []bool) {
	b.lock.Lock()
	defer b.lock.Unlock()
	copied := *b.plan
	copied.cells, going = nil, make([]bool, len(b.settled))
	for k, c := range b.settled {
		copied.cells = append(copied.cells, &c)
		going[k] = b.running[b.plan.cells[k]]
		if c.settled() {
			ended++
		}
	}
	return &copied, ended, going
}

// soFar is how far a running cell is, by its log.
func (c *cell) soFar() runningCell {
	r := runningCell{Name: c.String()}
	log, err := report.ReadMetricsLog(c.folder)
	if err != nil {
		return r // it has not begun
	}
	loss := log["loss"]
	if chart, ok := report.NewChart(c.folder, loss); ok {
		r.Chart = &chart
	}
	of, err := strconv.Atoi(c.config["CMF_STEPS"])
	if n := len(loss.X); n > 0 && err == nil {
		r.Step, r.Of = int(loss.X[n-1]), of
	}
	return r
}

// end lets browsers see the page that the ablation leaves.
func (b *board) end() {
	if b.server == nil {
		return
	}
	files := b.files()
	for _, name := range []string{"report.json", "ablation.csv", "ablation.md", "index.html"} {
		files[name] = true
	}
	b.server.Show(watch.Site{Folder: b.plan.folder, Files: files, Done: true, Page: b.plan.readPage})
}

func (b *board) close(ctx context.Context) error {
	if b.server == nil {
		return nil
	}
	return b.server.Close(ctx)
}
