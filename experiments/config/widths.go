package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Widths are the widths of hidden layers, written 64,64,64.
type Widths []int

// Decode reads widths from a list such as 64,64,64, for envconfig. The empty text gives
// no widths.
func (w *Widths) Decode(list string) error {
	*w = nil
	if strings.TrimSpace(list) == "" {
		return nil
	}
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		width, err := strconv.Atoi(part)
		if err != nil || width < 1 {
			return fmt.Errorf("%q is not a width; give positive whole numbers such as 64,64", part)
		}
		*w = append(*w, width)
	}
	return nil
}

// Check limits the size of a network, whose units have so many affine pieces, and of its
// batches of n: at most 2²⁷ weights between hidden layers, 512 MiB, and as many
// activations.
func (w Widths) Check(n, pieces int) error {
	const most = 1 << 27
	if len(w) > 100 {
		return fmt.Errorf("CMF_HIDDEN=%s…: %d layers; allowed are 1 to 100", w[:3], len(w))
	}
	var weights, units int
	for l, width := range w {
		if width > 1<<16 {
			return fmt.Errorf("CMF_HIDDEN=%s: a width of %d; allowed are 1 to %d", w, width, 1<<16)
		}
		units += pieces * width
		if l > 0 {
			weights += pieces * width * w[l-1]
		}
	}
	switch {
	case weights > most:
		return fmt.Errorf("CMF_HIDDEN=%s: %d weights between hidden layers; allowed are at most %d", w, weights, most)
	case units > most/n:
		return fmt.Errorf("CMF_BATCH=%d: with CMF_HIDDEN=%s, allowed are at most %d points in a batch", n, w, most/units)
	}
	return nil
}

// String writes widths as Decode reads them.
func (w Widths) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint([]int(w)), " ", ","), "[]")
}
