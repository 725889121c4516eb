package report

import (
	"encoding/json"
	"strings"
)

// Reason is why a run ended.
type Reason string

// The reasons.
const (
	Finished    Reason = "finished"    // all steps are made, and the work after training is done
	Interrupted Reason = "interrupted" // its context ended; CMF_RESUME goes on
	Deadline    Reason = "deadline"    // training took CMF_MINUTES; the work after training is done
	Halted      Reason = "halted"      // a hook ended training; the work after training is done
	Diverged    Reason = "diverged"    // training went wrong for good
	Failed      Reason = "failed"      // all work is done, but nothing usable was learned
)

// Stop is how a run ended: why, after which step of how many, and, in words, what to do
// about it. The zero value belongs to a run that has not ended.
type Stop struct {
	Reason Reason `json:"reason"`
	Step   int    `json:"step"`
	Of     int    `json:"of"`
	Text   string `json:"text"` // empty if it finished
}

// Complete says whether the run came to its end, with all steps or fewer: it was not
// interrupted, did not diverge and did not fail.
func (s Stop) Complete() bool {
	return s.Reason == Finished || s.Reason == Deadline || s.Reason == Halted
}

// Warned says whether a warning of the report says the same as Text.
func (s Stop) Warned() bool { return s.Reason == Failed || s.Reason == Diverged }

// plain is Report without its methods.
type plain Report

// MarshalJSON adds the field "stopped", which is the text alone, for readers from earlier
// versions that had only this field.
func (r Report) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		plain
		Stopped string `json:"stopped"`
	}{plain(r), r.Stop.Text})
}

// UnmarshalJSON reads what MarshalJSON writes, and reports of earlier versions.
func (r *Report) UnmarshalJSON(data []byte) error {
	in := struct {
		*plain
		Stopped string `json:"stopped"`
	}{plain: (*plain)(r)}
	r.Stop = Stop{}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	if r.Stop.Reason == "" {
		r.Stop = Stop{Reason: reasonIn(in.Stopped), Step: r.Steps, Text: in.Stopped}
	}
	return nil
}

// reasonIn is the reason with which the text of an earlier version begins.
func reasonIn(text string) Reason {
	switch {
	case text == "":
		return Finished
	case strings.HasPrefix(text, "CMF_MINUTES"):
		return Deadline
	case strings.HasPrefix(text, "diverged"):
		return Diverged
	}
	return Interrupted
}
