package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"cmf/experiments/report"
)

// writeFigures writes the figures of the page as they are at the end of a run. They
// replace those of an earlier end.
func (r *Run) writeFigures() error {
	if len(r.Page.Figures) == 0 {
		return nil
	}
	if err := report.EachEventFile(r.Folder, report.EventFigures, os.Remove); err != nil {
		return err
	}
	f, err := report.NewEventFile(r.Folder, report.EventFigures)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, figure := range r.Page.Figures {
		picture, err := os.ReadFile(r.Path(figure.File))
		if err != nil {
			return fmt.Errorf("TensorBoard events: %w", err)
		}
		tag := strings.TrimSuffix(figure.File, filepath.Ext(figure.File))
		if err := f.Image(r.Report.Steps, tag, picture); err != nil {
			return err
		}
	}
	return f.Close()
}
