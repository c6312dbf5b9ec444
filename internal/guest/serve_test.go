package guest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serveScript is what TestServe does: the whole machine swaps to the service, twice its memory, and the daemon is killed in the
// middle of it, again and again. Its standby goes on.
const serveScript = `exec 2>&1
echo begin
echo 30 >/proc/sys/kernel/hung_task_timeout_secs
modprobe -a fuse loop ublk_drv
sysctl -q vm.min_free_kbytes=16384 vm.watermark_boost_factor=0
daemon() { local w text; read -r -a w </run/test/serve.lock 2>/dev/null && [ "${w[2]}" = serves ] && echo "${w[1]}"; }
./zswapd serve --keeper --state /run/test --set control.socket=/run/test/control.sock --set swap.size=1536MiB \
	--set pool.max_pool_size=320MiB --set pool.allow_over_half=true &
keeper=$!
for i in {1..120}; do [ -n "$(daemon 2>/dev/null)" ] && break; kill -0 $keeper || break; sleep 1; echo wait; done
cat /proc/swaps
sleep 10 # for the standby
./zswapd __workload <workload.json >result &
workload=$!
for kill in {1..5}; do
	sleep 8
	kill -0 $workload 2>/dev/null || break
	was=$(daemon); echo "kill $was"; kill -9 "$was"
	for i in {1..60}; do now=$(daemon); [ "$now" != "$was" ] && break; sleep 1; done
	echo "$now goes on"
	[ "$now" = "$was" ] && echo "FAIL nobody serves"
done &
while kill -0 $workload 2>/dev/null; do sleep 10; tail -n 1 result; done
wait $workload || echo "FAIL the workload: exit code $?"
wait %3 2>/dev/null
kill $keeper; wait $keeper || echo "FAIL the keeper: exit code $?"
grep -q '"failures":0' result || echo "FAIL pages are wrong"
[ "$(wc -l </proc/swaps)" = 1 ] || echo "FAIL swap is on"
rmdir /run/test || echo "FAIL files are left"
tail -c 600 result
`

// TestServe is the service as users start it, with the door that it chooses by itself.
func TestServe(t *testing.T) {
	if !*inGuest {
		t.Skip("needs -guest")
	}
	config := filepath.Join(t.TempDir(), "workload.json")
	err := os.WriteFile(config, []byte(`{"bytes":1073741824,"touches":5000,"threads":1,"seed":1,"write_percent":30,"mode":"random","pages":"sparse","touch":"page"}`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	v := vm{memory: 512, cpus: 2, limit: 30 * time.Minute, run: serveScript, files: map[string]string{"zswapd": program(t, "guest"), "workload.json": config}}
	output, _ := v.boot(t)
	if !strings.Contains(output, "goes on") {
		t.Error("no daemon was killed")
	}
	t.Log(tail(output, 4000))
}
