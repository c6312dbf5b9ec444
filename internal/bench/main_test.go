package bench

import (
	"os"
	"testing"

	"github.com/zswapd/zswapd/internal/swaptest"
)

func TestMain(m *testing.M) {
	unlock := swaptest.Lock() // zram devices are counted, and their numbers are used again at once
	code := m.Run()
	unlock()
	os.Exit(code)
}
