package guard

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

const (
	oomFile  = "/proc/self/oom_score_adj"
	oomNever = -1000 // the OOM killer passes by
)

func readOOMScore() (int, error) {
	text, err := os.ReadFile(oomFile)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func writeOOMScore(v int) error {
	f, err := os.OpenFile(oomFile, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(strconv.Itoa(v))
	return err
}

// lowerOOMScore goes as low as it may. Without the privilege that is the lowest value a privileged
// process has ever given to us or to those we descend from; the kernel does not show it, so we try.
func lowerOOMScore() Step {
	if writeOOMScore(oomNever) != nil {
		if high, err := readOOMScore(); err == nil {
			for low := oomNever; high-low > 1; { // low is refused, high is allowed
				middle := low + (high-low)/2
				if writeOOMScore(middle) == nil {
					high = middle
				} else {
					low = middle
				}
			}
		}
	}
	return checkOOMScore()
}

func checkOOMScore() Step {
	s := Step{Name: OOMScore, Remedy: needResource + "; or OOMScoreAdjust=-1000"}
	v, err := readOOMScore()
	switch {
	case err != nil:
		s.Detail, s.Remedy = err.Error(), "mount /proc"
	case v > oomNever:
		s.Detail = fmt.Sprintf("oom_score_adj stays at %d, wanted %d", v, oomNever)
	default:
		s.OK, s.Remedy, s.Detail = true, "", fmt.Sprintf("oom_score_adj is %d", v)
	}
	return s
}
