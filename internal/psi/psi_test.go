package psi

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pressureFile is a file as the kernel has it, whose total is set.
func pressureFile(t *testing.T) (path string, set func(total time.Duration)) {
	path = filepath.Join(t.TempDir(), "memory.pressure")
	set = func(total time.Duration) {
		text := fmt.Sprintf("some avg10=1.50 avg60=0.00 avg300=0.00 total=%d\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=77\n", total.Microseconds())
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set(time.Hour)
	return path, set
}

func TestPressure(t *testing.T) {
	path, set := pressureFile(t)
	m, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	measure := func(waited time.Duration) (percent float64, passed time.Duration) {
		t.Helper()
		at := time.Now().Add(-10 * time.Second) // it was measured long ago
		m.at = at
		set(m.total + waited)
		return m.Pressure(), m.at.Sub(at)
	}
	for waited, most := range map[time.Duration]float64{0: 0, time.Second: 10, 5 * time.Second: 50, time.Hour: 100, -time.Second: 0} {
		got, passed := measure(waited)
		want := min(100*max(waited, 0).Seconds()/passed.Seconds(), 100)
		if math.Abs(got-want) > 0.01 || got > most || passed < 10*time.Second {
			t.Errorf("%v of %v: %v %%, want %v, %v at most", waited, passed, got, want, most)
		}
	}
	last, _ := measure(time.Second)
	m.at = time.Now().Add(time.Hour) // however long it takes to come here, that is no 100 ms ago
	set(m.total + time.Minute)
	if got := m.Pressure(); got != last {
		t.Errorf("measured again at once: %v, was %v", got, last)
	}
	if n := testing.AllocsPerRun(100, func() { m.at = time.Time{}; m.Pressure() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if err := os.WriteFile(path, []byte("gone"), 0o600); err != nil {
		t.Fatal(err)
	}
	if m.at = time.Now().Add(-time.Second); m.Pressure() != 0 {
		t.Error("pressure without a file")
	}
}

func TestKernel(t *testing.T) {
	m, err := Open(Path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	time.Sleep(between)
	if p := m.Pressure(); p < 0 || p > 100 {
		t.Errorf("%v %%", p)
	}
}

func TestParse(t *testing.T) {
	for _, text := range []string{"", "some", "full avg10=0.00 total=5", "some avg10=0.00 total=", "some avg10=0.00 total=-1\n", "some total=99999999999999999999"} {
		if d, err := parse([]byte(text)); err == nil {
			t.Errorf("%q: %v", text, d)
		}
	}
}
