package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/arena"
	"github.com/zswapd/zswapd/internal/config"
)

// saved is what a successor must know before it serves. Fields may be added.
type saved struct {
	Version  int       `json:"version"`
	RAM      int64     `json:"ram"`       // bytes, that sizes were computed with
	Settings []string  `json:"settings"`  // that the successor goes by: KEY = VALUE, those that are no defaults
	HoldRate float64   `json:"hold_rate"` // what serve.latency_hold came to on this machine
	Door     string    `json:"door"`      // the kind that is open
	Size     int64     `json:"size"`      // bytes of the swap device
	Priority int       `json:"priority"`  // likewise
	Device   string    `json:"device"`    // "": swap was not on yet
	On       bool      `json:"on"`        // it was on
	Stopping bool      `json:"stopping"`  // somebody asked to stop, and was not refused
	Since    time.Time `json:"since"`     // when the store was made
	Restarts uint64    `json:"restarts"`  // that it has survived
}

const (
	savedVersion = 1
	savedBytes   = 4096
)

// savedFile holds it, in memory that is never swapped out. It is one page and written by one call, which a kill does not cut.
type savedFile struct {
	f   *os.File
	now saved
}

func newSaved(c *config.Config) (*savedFile, error) {
	f, err := arena.MemoryFile("zswapd-saved")
	if err == nil {
		err = f.Truncate(savedBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("what a successor must know: %w", err)
	}
	s := &savedFile{f: f, now: saved{Version: savedVersion, Since: time.Now()}}
	s.now.goBy(c)
	s.now.Size, s.now.Priority = c.Swap.Size, c.Swap.Priority
	return s, nil
}

// goBy makes the successor go by a configuration.
func (s *saved) goBy(c *config.Config) {
	s.RAM, s.Settings = c.RAM(), nil
	for _, one := range c.Settings() {
		if one.From != (config.Origin{}) {
			s.Settings = append(s.Settings, one.Key+" = "+one.Value)
		}
	}
}

// savedOrigin is where settings come from as long as a successor cannot read the configuration. What it was read from may say
// something else by now.
const savedOrigin = "saved by the daemon before"

// config returns what the successor goes by. Settings that this program does not know, being older, are left out and told.
func (s *saved) config() (c *config.Config, unknown []string, err error) {
	defaults, err := config.Load("", s.RAM)
	if err != nil {
		return nil, nil, err
	}
	c, err = defaults.With(savedOrigin, s.Settings...)
	var problems config.Problems
	if errors.As(err, &problems) {
		known := slices.DeleteFunc(slices.Clone(s.Settings), func(one string) bool {
			key, _, _ := strings.Cut(one, " ")
			bad := slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Key == key })
			if bad {
				unknown = append(unknown, one)
			}
			return bad
		})
		c, err = defaults.With(savedOrigin, known...)
	}
	return c, unknown, err
}

// change edits what is saved, and writes it.
func (s *savedFile) change(edit func(*saved)) error {
	next := s.now
	edit(&next)
	text, err := json.Marshal(&next)
	if err != nil {
		return err
	}
	if len(text) >= savedBytes {
		return errors.New("the settings are too long to be saved for a successor, which will go by the old ones")
	}
	page := make([]byte, savedBytes)
	copy(page, text)
	if _, err = s.f.WriteAt(page, 0); err == nil {
		s.now = next
	}
	return err
}

// readSaved reads what a predecessor has saved. The descriptor stays the caller's.
func readSaved(fd int) (now saved, err error) {
	page := make([]byte, savedBytes)
	n, err := unix.Pread(fd, page, 0)
	if err == nil {
		err = json.Unmarshal(bytes.TrimRight(page[:max(n, 0)], "\x00"), &now)
	}
	if err == nil && now.Version != savedVersion {
		err = fmt.Errorf("version %d: this program reads version %d", now.Version, savedVersion)
	}
	if err != nil {
		return saved{}, fmt.Errorf("what the daemon before has saved: %w", err)
	}
	return now, nil
}
