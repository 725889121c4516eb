package data

import (
	"encoding/binary"
	"errors"
	"fmt"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Epochs deals the rows of a batch as minibatches: each epoch is a fresh
// shuffle of all rows, and a minibatch may end one epoch and begin the next, so
// that it may be larger than the data. It is not safe for concurrent use.
type Epochs struct {
	data   blas32.General
	stream *random.Stream
	order  []int
	next   int
	before []byte // the state of stream from which order was shuffled
}

// NewEpochs deals the (n, d) batch data, n ≥ 1, in the order that stream gives.
// Both are kept: data must not change, and stream must serve nothing else.
func NewEpochs(data blas32.General, stream *random.Stream) (*Epochs, error) {
	if err := batch.Check("data", data); err != nil {
		return nil, fmt.Errorf("epochs: %w", err)
	}
	if stream == nil {
		return nil, errors.New("epochs: stream is nil; it must be a stream of random numbers")
	}
	if data.Rows == 0 {
		return nil, errors.New("epochs: data has no rows; it must have at least 1")
	}
	e := &Epochs{data: data, stream: stream, order: make([]int, data.Rows)}
	if err := e.shuffle(); err != nil {
		return nil, err
	}
	return e, nil
}

// Next fills the (b, d) batch dst with the next b rows.
func (e *Epochs) Next(dst blas32.General) error {
	if err := batch.Check("dst", dst); err != nil {
		return fmt.Errorf("next minibatch: %w", err)
	}
	if dst.Cols != e.data.Cols {
		return fmt.Errorf("next minibatch: dst has %d columns; data has %d", dst.Cols, e.data.Cols)
	}
	for i := range dst.Rows {
		if e.next == len(e.order) {
			if err := e.shuffle(); err != nil {
				return err
			}
		}
		copy(batch.Row(dst, i), batch.Row(e.data, e.order[e.next]))
		e.next++
	}
	return nil
}

// State is what Next depends on besides the data, for a checkpoint.
func (e *Epochs) State() []byte {
	state := binary.LittleEndian.AppendUint64(nil, uint64(len(e.order)))
	state = binary.LittleEndian.AppendUint64(state, uint64(e.next))
	return append(state, e.before...)
}

// StateFrom is the State of Epochs over the same data that begin with another stream, whose
// state is given.
func (e *Epochs) StateFrom(stream []byte) []byte {
	state := binary.LittleEndian.AppendUint64(nil, uint64(len(e.order)))
	return append(binary.LittleEndian.AppendUint64(state, 0), stream...)
}

// Restore continues from a State of Epochs over the same data. On an error e is
// unchanged.
func (e *Epochs) Restore(state []byte) error {
	if len(state) < 16 {
		return fmt.Errorf("restore epochs: the state has %d bytes; it must have more than 16", len(state))
	}
	rows, next := binary.LittleEndian.Uint64(state), binary.LittleEndian.Uint64(state[8:])
	if rows != uint64(len(e.order)) {
		return fmt.Errorf("restore epochs: the state is of data with %d rows; this has %d", rows, len(e.order))
	}
	if next > rows {
		return fmt.Errorf("restore epochs: the state is at row %d; it must be 0 to %d", next, rows)
	}
	if err := e.stream.UnmarshalBinary(state[16:]); err != nil {
		return fmt.Errorf("restore epochs: %w", err)
	}
	if err := e.shuffle(); err != nil {
		return err
	}
	e.next = int(next)
	return nil
}

// shuffle begins an epoch. It starts from the natural order, so that the state
// of stream alone determines it.
func (e *Epochs) shuffle() error {
	before, err := e.stream.MarshalBinary()
	if err != nil {
		return fmt.Errorf("shuffle epoch: %w", err)
	}
	for i := range e.order {
		e.order[i] = i
	}
	e.stream.Shuffle(len(e.order), func(i, j int) {
		e.order[i], e.order[j] = e.order[j], e.order[i]
	})
	e.before, e.next = before, 0
	return nil
}
