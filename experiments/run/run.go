package run

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cmf/data"
	"cmf/data/units"
	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/report"
	"cmf/graph"
	"cmf/graph/blas"
	"cmf/graph/kernel"
	"cmf/solvers/mpi"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
)

// Definition is an experiment as a value: its configuration and what it does. T embeds
// config.Core or config.Command.
type Definition[T any] struct {
	// Name is the folder of the command and of the results.
	Name string

	// Presets change T's defaults, by name: quick, default, paper.
	Presets map[string]func(*T)

	// Shared says that several ranks may carry it out together although it does not train.
	Shared bool

	// Do carries out the experiment: it fills the run's report, figures and page. It
	// ends soon after the context does. It then returns the context's error, or nil if
	// the report already says how it ended, as after an interrupted fit.
	Do func(ctx context.Context, r *Run, c *T) error
}

// Run is one execution of an experiment: the folder of its results and what it reports.
type Run struct {
	Folder   string
	Report   report.Report
	Page     report.Page
	Progress *Progress
	Started  time.Time

	// World is the processes that train together; see Root.
	World *mpi.World

	// Checkpoint is the file from which CMF_RESUME goes on, written after Steps steps of
	// training; empty before training begins.
	Checkpoint string
	Steps      int

	env      config.Environment
	settings []config.Setting
	Out      io.Writer

	lock     sync.Mutex // of the next four
	begun    bool
	broken   error           // of beginning
	own      map[string]bool // the files of the run
	unlocked error           // why the folder has no lock
	training atomic.Bool

	log  lines
	live live // of the goroutine of the run alone
}

// Main runs an experiment as a command: it takes the configuration from the environment,
// puts the results in a folder, and shows a message instead of a stack trace.
//
// SIGINT, SIGTERM or SIGHUP ends training after the current step and leaves a checkpoint
// from which CMF_RESUME goes on. It ends what comes before training (reading data) and
// after it (generation, densities and figures) within about two seconds: then there is
// nothing to lose, and CMF_RESUME repeats what follows training without training again.
// In both cases the stop in the report says so, the message says what to do, and no file
// is half-written. A second signal ends the program at once, and loses no file either.
// The exit status of a run that was ended is 130, 143 or 129 after SIGINT, SIGTERM or
// SIGHUP, and that of one with an error is 1.
func Main[T any](d Definition[T]) {
	if slices.ContainsFunc(os.Args[1:], func(a string) bool { return a == "--version" || a == "-version" }) {
		fmt.Println(d.Name, Version())
		return
	}
	ctx, status := Interruptible(d.Name)
	var current atomic.Pointer[Run]
	done := make(chan error, 1)
	finished := false // before the signal had an effect
	go func() {
		r, err := execute(ctx, d, config.OS(), os.Args[1:], os.Stderr, current.Store)
		finished = err == nil && r.Report.Stop.Reason != report.Interrupted
		done <- err
	}()
	var err error
	select {
	case err = <-done:
		if finished {
			end(0)
			return
		}
	case <-overdue(ctx, &current):
		err = errors.New("interrupted; the same command begins again")
		if r := current.Load(); r != nil && r.deserted() {
			err = fmt.Errorf("interrupted, and other ranks no longer answer; CMF_RESUME=%s goes on from the last checkpoint", r.Checkpoint)
		} else if r != nil && r.Checkpoint != "" {
			err = fmt.Errorf("interrupted after training; CMF_RESUME=%s repeats what follows without training again", r.Checkpoint)
		}
	}
	if errors.Is(err, flag.ErrHelp) {
		end(0)
		return
	}
	letRootSpeak()
	switch {
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %s\n", d.Name, report.Plain(err.Error()))
		end(cmp.Or(status(), 1))
	default:
		end(status())
	}
}

// Execute runs an experiment with the variables of env and the given arguments, and
// returns the run, with the error ErrFailed if it learned nothing usable. A figure that could
// not be drawn is a warning of the run, not an error.
func Execute[T any](ctx context.Context, d Definition[T], env config.Environment, args []string, out io.Writer) (*Run, error) {
	return execute(ctx, d, env, args, out, func(*Run) {})
}

// execute is Execute, which tells watch the run before it begins.
func execute[T any](ctx context.Context, d Definition[T], env config.Environment, args []string, out io.Writer, watch func(*Run)) (_ *Run, err error) {
	c := new(T)
	settings, err := config.Load(c, d.Presets, env, args, out)
	if err != nil {
		return nil, err
	}
	settings = config.Recorded(settings)
	command := any(c).(interface{ Shared() *config.Command }).Shared()
	r := &Run{Started: time.Now(), env: env, settings: settings}
	if err := r.join(d.Name, r.learns() || d.Shared, out); err != nil {
		return nil, err
	}
	if err := r.useMachine(command); err != nil {
		return nil, err
	}
	r.Report.Experiment = d.Name
	r.Report.Started = r.Started
	if r.Root() {
		if r.live.server, err = Watch(command.Watch); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, r.unwatch(ctx)) }()
	}
	unlock, err := r.openFolder(command.Out)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	watch(r)
	r.Report.Config = report.ConfigOf(settings)
	r.Report.Metrics, r.Report.Floor, r.Report.Baseline = report.Numbers{}, report.Numbers{}, report.Numbers{}
	r.Track("before training", ProgressOptions{})
	m := r.Report.Machine
	r.Progress.Log.Info("start", "experiment", d.Name, "preset", command.Preset, "out", r.Folder,
		"blas", m.BLAS, "kernels", m.Kernels, "threads", m.Threads, "vm", command.VM)
	if r.World.Size() > 1 {
		r.Progress.Log.Info("ranks", "number", r.World.Size(), "by", r.World.Library())
	}
	if r.live.server != nil {
		r.Progress.Log.Info("a browser can follow", "at", r.live.server.URL())
	}
	if r.unlocked != nil {
		r.Note("The folder of results cannot be locked (%v): start no second run with CMF_OUT=%s.", r.unlocked, r.Folder)
	}
	err = d.Do(ctx, r, c)
	var undrawn *figure.Error
	switch ended := ctx.Err(); {
	case ended != nil && errors.Is(err, ended):
		r.interrupted()
		if !r.hasBegun() { // what earlier runs left stays
			r.Progress.Log.Warn(r.Report.Stop.Text)
			return r, nil
		}
	case errors.As(err, &undrawn):
		r.lose(filepath.Base(undrawn.Path), undrawn)
	case err != nil && r.Report.Stop.Reason == report.Diverged:
		return nil, errors.Join(err, r.finish()) // the page says what happened
	case err != nil:
		return nil, r.hint(err)
	}
	if err := r.finish(); err != nil {
		return r, r.hint(err)
	}
	if r.Report.Stop.Reason == report.Failed {
		return r, fmt.Errorf("%w: %s", ErrFailed, r.Report.Stop.Text)
	}
	return r, nil
}

// hint adds to an error after training that nothing of that is lost.
func (r *Run) hint(err error) error {
	if r.Checkpoint == "" || r.Report.Steps == 0 || r.training.Load() || strings.Contains(err.Error(), "CMF_RESUME=") {
		return err
	}
	if _, lost := os.Stat(r.Checkpoint); lost != nil {
		return err
	}
	return fmt.Errorf("%w; training has ended, and CMF_RESUME=%s repeats what follows", err, r.Checkpoint)
}

// interrupted records that the context ended before or after training, not during it.
func (r *Run) interrupted() {
	stop := report.Stop{Reason: report.Interrupted, Step: r.Report.Steps, Of: r.Steps}
	switch {
	case r.Checkpoint == "":
		stop.Text = "interrupted; the same command begins again"
	case stop.Step < stop.Of:
		stop.Text = fmt.Sprintf("interrupted after training, which ended at step %d of %d; CMF_RESUME=%s goes on with both", stop.Step, stop.Of, r.Checkpoint)
	default:
		stop.Text = fmt.Sprintf("interrupted after training; CMF_RESUME=%s repeats what follows without training again", r.Checkpoint)
	}
	r.Report.Stop = stop
}

// useMachine chooses the backend of products, the number of threads, and the machine that
// runs graphs.
func (r *Run) useMachine(c *config.Command) error {
	threads := c.Threads
	if threads == 0 {
		threads = r.cores()
	}
	backend, err := blas.Use(c.BLAS, threads)
	if err != nil {
		return fmt.Errorf("CMF_BLAS=%s: %w", c.BLAS, err)
	}
	kernel.SetThreads(threads)
	gorgonia.Use(blas.Implementation())
	if err := graph.UseMachine(c.VM); err != nil {
		return fmt.Errorf("CMF_VM=%s: %w", c.VM, err)
	}
	r.Report.Machine = report.ThisMachine()
	r.Report.Machine.Threads, r.Report.Machine.Ranks, r.Report.Machine.MPI = threads, r.World.Size(), r.World.Library()
	r.Report.Machine.BLAS = backend.Name + " (" + backend.Version + ")"
	r.Report.Machine.Kernels = kernel.Features()
	return nil
}

// finish writes the report, the page and the figures for TensorBoard.
func (r *Run) finish() error {
	if !r.Root() {
		return nil
	}
	if err := r.Begin(); err != nil {
		return err
	}
	r.Report.Seconds = time.Since(r.Started).Seconds()
	r.Report.Data, r.Page.Summary = report.Plain(r.Report.Data), report.Plain(r.Page.Summary)
	if r.Report.Stop.Reason == "" {
		r.Report.Stop.Reason = report.Finished
	}
	if err := r.Report.Write(r.Folder); err != nil {
		return err
	}
	if err := r.writeFigures(); err != nil {
		return err
	}
	r.Page.Report, r.Page.Settings, r.Page.Log, r.Page.Files = &r.Report, r.settings, r.log.all(), r.written()
	if err := r.Page.Write(r.Folder); err != nil {
		return err
	}
	r.showEnd()
	if text := r.Report.Stop.Text; text != "" && !r.Report.Stop.Warned() {
		r.Progress.Log.Warn(text)
	}
	r.Progress.Log.Info("done", "data", r.Report.Data, "seconds", int(r.Report.Seconds), "page", r.Path("index.html"))
	return nil
}

// Given says whether the user has set a variable, given by its full name.
func (r *Run) Given(variable string) bool {
	_, ok := r.env[variable]
	return ok
}

// Idle refuses a variable that does nothing in this run, given by its full name, if the user
// has set it to another value than its default; with says what would make use of it.
func (r *Run) Idle(variable, with string) error {
	for _, s := range r.settings {
		if s.Name == variable && s.Value != s.Default && r.Given(variable) {
			return fmt.Errorf("%s=%s: it does nothing without %s", variable, s.Value, with)
		}
	}
	return nil
}

// Note adds a remark to the log, the report and the page.
func (r *Run) Note(format string, args ...any) {
	text := report.Plain(fmt.Sprintf(format, args...))
	r.Report.Notes = append(r.Report.Notes, text)
	r.Progress.Log.Warn(text)
	r.show(true)
}

// Inferred adds to the log, the report and the page what was inferred about a file.
func (r *Run) Inferred(path string, notes []string) {
	for _, note := range notes {
		text := report.Plain(filepath.Base(path) + ": " + note)
		r.Report.Notes = append(r.Report.Notes, text)
		r.Progress.Log.Info(text)
	}
	r.show(true)
}

// AddFigure puts a PNG in the folder on the page.
func (r *Run) AddFigure(file, caption string) {
	r.Page.Figures = append(r.Page.Figures, report.Figure{File: file, Caption: caption})
	r.show(true)
}

// LeadFigure puts a PNG in the folder on the page before all others. The last that leads is
// the main picture, above all numbers.
func (r *Run) LeadFigure(file, caption string) {
	r.Page.Figures = append([]report.Figure{{File: file, Caption: caption}}, r.Page.Figures...)
	r.show(true)
}

// SaveSamples writes samples.npy, on rank 0.
func (r *Run) SaveSamples(x blas32.General) error {
	if !r.Root() {
		return nil
	}
	if err := data.WriteNPY(r.Path("samples.npy"), x); err != nil {
		return fmt.Errorf("samples.npy: %w", err)
	}
	return nil
}

// Suit sets a variable of the run to what suits its data, unless the user has set it, and
// records that.
func Suit[T any](r *Run, name string, variable *T, value T) error {
	if r.Given(name) {
		return nil
	}
	*variable = value
	return r.Resolve(name, value)
}

// LimitSteps ends the default run on few rows after a number of passes over them, but
// not before least steps.
func (r *Run) LimitSteps(core *config.Core, rows, passes, least int) error {
	return r.FewerSteps(core, max(least, passes*rows/core.Batch), fmt.Sprintf("these are %d passes over the few rows", passes))
}

// FewerSteps lowers the number of steps of the default run, and says why. CMF_STEPS, if given,
// stands.
func (r *Run) FewerSteps(core *config.Core, steps int, why string) error {
	if r.Given("CMF_STEPS") || core.Preset != "default" || steps >= core.Steps {
		return nil
	}
	r.Note("%d steps instead of %d: %s. CMF_STEPS sets the number.", steps, core.Steps, why)
	core.Steps = steps
	return r.Resolve("CMF_STEPS", steps)
}

// Resolve records the value of a variable that depends on the data, so that config.env
// and the checkpoint repeat it.
func (r *Run) Resolve(name string, to any) error {
	value := fmt.Sprint(to)
	for i := range r.settings {
		if r.settings[i].Name == name {
			r.settings[i].Value = value
		}
	}
	r.Report.Config[name] = value
	if !slices.Contains(r.Report.Resolved, name) {
		r.Report.Resolved = append(r.Report.Resolved, name)
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	if !r.begun {
		return nil
	}
	return report.WriteConfig(r.Folder, r.settings)
}

// SavePoints converts points from the units of learning to the data's units and writes
// them as NAME.npy, and also as NAME.csv if the data came from a table.
func (r *Run) SavePoints(name string, u units.Units, f units.Form, z blas32.General) error {
	x, err := u.Data(z, nil)
	if err != nil {
		return err
	}
	return r.SaveRows(name, f, f.Columns, x)
}

// SaveRows writes rows as NAME.npy, and also, with a header, as NAME.csv if the data came
// from a table; on rank 0.
func (r *Run) SaveRows(name string, f units.Form, header []string, x blas32.General) error {
	if !r.Root() {
		return nil
	}
	if err := data.WriteNPY(r.Path(name+".npy"), x); err != nil {
		return fmt.Errorf("%s.npy: %w", name, err)
	}
	if !f.Table {
		return nil
	}
	if err := data.WriteCSV(r.Path(name+".csv"), header, x); err != nil {
		return fmt.Errorf("%s.csv: %w", name, err)
	}
	return nil
}
