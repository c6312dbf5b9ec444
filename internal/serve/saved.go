package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/arena"
)

// saved is what a successor must know before it serves.
type saved struct {
	Version  int       `json:"version"`
	Settings Settings  `json:"settings"`  // that the successor goes by
	HoldRate float64   `json:"hold_rate"` // what Settings.HoldRate came to on this machine
	Device   string    `json:"device"`    // "": swap was not on yet
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

func newSaved(s Settings) (*savedFile, error) {
	f, err := arena.MemoryFile("zswapd-saved")
	if err == nil {
		err = f.Truncate(savedBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("what a successor must know: %w", err)
	}
	return &savedFile{f: f, now: saved{Version: savedVersion, Settings: s, HoldRate: resolveHold(s.HoldRate), Since: time.Now()}}, nil
}

// change edits what is saved, and writes it.
func (s *savedFile) change(edit func(*saved)) error {
	edit(&s.now)
	text, err := json.Marshal(&s.now)
	if err != nil {
		return err
	}
	if len(text) >= savedBytes {
		return errors.New("the settings are too long to be saved")
	}
	page := make([]byte, savedBytes)
	copy(page, text)
	_, err = s.f.WriteAt(page, 0)
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
