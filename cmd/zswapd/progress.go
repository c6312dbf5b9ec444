package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/zswapd/zswapd/internal/run"
)

const progressEvery = 5 * time.Second // between lines, where there is no terminal

// progress returns what shows how far a measurement is: a live line on a terminal, elsewhere a line now and then. end
// removes the live line.
func progress(f *os.File) (show func(done, total int, next string), end func()) {
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		l := run.NewLiveLine(f, width)
		return func(done, total int, next string) { l.Show(percent(done, total, next)) }, l.Clear
	}
	last := time.Now()
	return func(done, total int, next string) {
		if time.Since(last) >= progressEvery {
			last = time.Now()
			fmt.Fprintln(f, percent(done, total, next))
		}
	}, func() {}
}

func percent(done, total int, next string) string {
	return fmt.Sprintf("%3d %%  %s", 100*done/max(total, 1), next)
}
