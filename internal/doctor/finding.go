package doctor

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/zswapd/zswapd/internal/config"
)

// Level is how bad a finding is.
type Level string

const (
	OK      Level = "ok"
	Note    Level = "note"    // worth knowing, nothing to mend
	Advice  Level = "advice"  // it works, and could work better
	Problem Level = "problem" // it does not work, or pages or programs are at risk
)

// Finding is what one check found.
type Finding struct {
	Check string `json:"check"` // its name: one word
	Level Level  `json:"level"`
	Text  string `json:"text"`           // one line without a full stop
	Mend  string `json:"mend,omitempty"` // a command, or what to do; "" where there is nothing to mend
}

// check looks at one thing. c is never nil: where the configuration is wrong, it is the defaults.
type check func(f *Facts, c *config.Config) []Finding

var checks = []check{
	checkConfig, checkKernel, checkPrivileges, checkMemlock, checkDoors, checkService, checkGroup,
	checkZswap, checkSwaps, checkSysctls, checkRoom, checkLeftovers, checkOOM, checkCgroup, checkPSI,
}

// Check returns what is found, in the order of checks.
func Check(f *Facts, c *config.Config) (all []Finding) {
	for _, k := range checks {
		all = append(all, k(f, c)...)
	}
	return all
}

// Well reports whether there is nothing to mend.
func Well(all []Finding) bool {
	return !slices.ContainsFunc(all, func(f Finding) bool { return f.Level == Advice || f.Level == Problem })
}

func one(name string, l Level, mend, format string, args ...any) []Finding {
	return []Finding{{name, l, fmt.Sprintf(format, args...), mend}}
}

// WriteText writes findings for people: the worst last, where they are seen.
func WriteText(w io.Writer, all []Finding) error {
	var b strings.Builder
	counts := map[Level]int{}
	for _, l := range []Level{OK, Note, Advice, Problem} {
		for _, f := range all {
			if f.Level != l {
				continue
			}
			counts[l]++
			fmt.Fprintf(&b, "%-8s %-13s %s\n", f.Level, f.Check, f.Text)
			if f.Mend != "" {
				fmt.Fprintf(&b, "%-22s → %s\n", "", f.Mend)
			}
		}
	}
	if Well(all) {
		b.WriteString("all is well\n")
	} else {
		fmt.Fprintf(&b, "to mend: %d; to consider: %d\n", counts[Problem], counts[Advice])
	}
	_, err := io.WriteString(w, b.String())
	return err
}
