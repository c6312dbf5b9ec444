package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/zswapd/zswapd/internal/run"
)

// Where there is no terminal, a line comes after some time and then now and then.
const (
	progressAfter = 2 * time.Second
	progressEvery = 5 * time.Second
)

// progress returns what shows how far a measurement is: a live line on a terminal, elsewhere a line now and then. end
// removes the live line.
func progress(f *os.File) (show func(done, total int, next string), end func()) {
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		l := run.NewLiveLine(f, width)
		return func(done, total int, next string) { l.Show(percent(done, total, next)) }, l.Clear
	}
	next := time.Now().Add(progressAfter)
	return func(done, total int, what string) {
		if now := time.Now(); now.After(next) {
			next = now.Add(progressEvery)
			fmt.Fprintln(f, percent(done, total, what))
		}
	}, func() {}
}

func percent(done, total int, next string) string {
	return fmt.Sprintf("%3d %%  %s", 100*done/max(total, 1), next)
}
