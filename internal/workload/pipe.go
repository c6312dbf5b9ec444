package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrNoResult is returned by Follow when the child ended before it sent its result: killed, or out of memory.
var ErrNoResult = errors.New("workload: the process ended without a result")

// message is what a child sends, one JSON object a line: progress, and at last the result or an error.
type message struct {
	Progress *Progress `json:"progress,omitempty"`
	Result   *Result   `json:"result,omitempty"`
	Times    *times    `json:"times,omitempty"` // beside the result
	Error    string    `json:"error,omitempty"` // beside First of the result
}

// Serve is the child's side: it reads a Config as JSON from in, runs it, and writes messages to out for Follow. The error
// is that of Run; the child should exit with another status than 0 for it.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	c, err := readConfig(in)
	if err != nil {
		return err
	}
	e := json.NewEncoder(out)
	c.Progress = func(p Progress) { _ = e.Encode(message{Progress: &p}) } // without a reader the run still counts
	res, err := Run(ctx, c)
	m := message{Result: &res, Times: res.times}
	var failure *Failure
	if err != nil && !errors.As(err, &failure) {
		m.Error = err.Error()
	}
	return errors.Join(err, e.Encode(m))
}

func readConfig(in io.Reader) (c Config, err error) {
	d := json.NewDecoder(in)
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("workload: configuration: %w", err)
	}
	return c, nil
}

// Follow is the parent's side: it reads what Serve writes, and returns the result. The error is the Failure of the result,
// the child's error, or ErrNoResult. progress may be nil.
func Follow(in io.Reader, progress func(Progress)) (Result, error) {
	r, _, err := follow(in, progress)
	return r, err
}

func follow(in io.Reader, progress func(Progress)) (Result, *times, error) {
	d := json.NewDecoder(in)
	for {
		var m message
		if err := d.Decode(&m); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return Result{}, nil, ErrNoResult
		} else if err != nil {
			return Result{}, nil, fmt.Errorf("workload: what the child wrote: %w", err)
		}
		switch {
		case m.Progress != nil && progress != nil:
			progress(*m.Progress)
		case m.Result != nil && m.Result.First != nil:
			return *m.Result, m.Times, m.Result.First
		case m.Result != nil && m.Error != "":
			return *m.Result, m.Times, errors.New(m.Error)
		case m.Result != nil:
			return *m.Result, m.Times, nil
		}
	}
}
