package metrics_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	dto "github.com/prometheus/client_model/go"
	"go.yaml.in/yaml/v4"

	"github.com/zswapd/zswapd/internal/metrics"
)

const (
	dashboard = "../../configs/grafana/zswapd.json"
	rules     = "../../configs/prometheus/zswapd.rules.yml"
)

// exported are the names of all series that a daemon with everything has, with the labels of each.
func exported(t *testing.T) map[string]map[string]bool {
	all := map[string]map[string]bool{"up": {"job": true}}
	for name, f := range families(t, scrape(t, metrics.Handler(busy(t)))) {
		labels := map[string]bool{"instance": true, "job": true}
		for _, l := range f.Metric[0].Label {
			labels[l.GetName()] = true
		}
		all[name] = labels
		if f.GetType() == dto.MetricType_HISTOGRAM {
			all[name+"_bucket"], all[name+"_count"], all[name+"_sum"] = labels, labels, labels
		}
	}
	return all
}

// grafana fills in what Grafana does.
var grafana = strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h", "$instance", "x")

// checkExpr says what an expression asks for that there is not, and notes what it asks for.
func checkExpr(t *testing.T, where, expr string, all map[string]map[string]bool, used map[string]bool) {
	t.Helper()
	expr = grafana.Replace(expr)
	e, err := metricsql.Parse(expr)
	if err != nil {
		t.Errorf("%s: %q: %v", where, expr, err)
		return
	}
	metricsql.VisitAll(e, func(e metricsql.Expr) {
		m, ok := e.(*metricsql.MetricExpr)
		if !ok {
			return
		}
		for _, filters := range m.LabelFilterss {
			name := ""
			for _, f := range filters {
				if f.Label == "__name__" {
					name = f.Value
				}
			}
			labels, ok := all[name]
			if !ok {
				t.Errorf("%s: there is no %s", where, name)
				continue
			}
			used[name] = true
			for _, f := range filters {
				if f.Label != "__name__" && !labels[f.Label] {
					t.Errorf("%s: %s has no label %s", where, name, f.Label)
				}
			}
		}
	})
}

type target struct{ Expr, RefID string }

// checkInstance: no sum is over machines. Many that are well would hide one that is not, and nobody would be told which it is.
func checkInstance(t *testing.T, where, expr string) {
	t.Helper()
	e, err := metricsql.Parse(expr)
	noErr(t, err)
	metricsql.VisitAll(e, func(e metricsql.Expr) {
		a, ok := e.(*metricsql.AggrFuncExpr)
		if ok && slices.Contains(a.Modifier.Args, "instance") != (a.Modifier.Op == "by") {
			t.Errorf("%s: %s is over all machines", where, a.AppendString(nil))
		}
	})
}

// board is what of a dashboard is looked at.
type board struct {
	UID, Title string
	Panels     []struct {
		ID          int
		Title, Type string
		GridPos     struct{ X, Y, W, H int }
		Targets     []target
	}
	Annotations struct{ List []target }
}

func readBoard(t *testing.T) (d board) {
	t.Helper()
	text, err := os.ReadFile(dashboard)
	noErr(t, err)
	noErr(t, json.Unmarshal(text, &d))
	return d
}

func TestDashboard(t *testing.T) {
	d := readBoard(t)
	all, used, ids := exported(t), map[string]bool{}, map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || len(p.Targets) == 0 {
			t.Errorf("panel %+v", p)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s lies on %s, or beyond the edge", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		for _, q := range p.Targets {
			checkExpr(t, p.Title, q.Expr, all, used)
		}
	}
	for _, q := range d.Annotations.List {
		checkExpr(t, "annotation", q.Expr, all, used)
	}
	if len(d.Panels) < 10 || len(used) < 25 {
		t.Errorf("%d panels that use %d metrics", len(d.Panels), len(used))
	}
}

func TestRules(t *testing.T) {
	text, err := os.ReadFile(rules)
	noErr(t, err)
	var r struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	noErr(t, yaml.Unmarshal(text, &r))
	all, used, names := exported(t), map[string]bool{}, map[string]bool{}
	for _, g := range r.Groups {
		for _, a := range g.Rules {
			checkExpr(t, a.Alert, a.Expr, all, used)
			checkInstance(t, a.Alert, a.Expr)
			if names[a.Alert] || !strings.HasPrefix(a.Alert, "Zswapd") || a.Annotations["summary"] == "" || a.Annotations["description"] == "" ||
				a.Labels["severity"] != "warning" && a.Labels["severity"] != "critical" {
				t.Errorf("%+v", a)
			}
			names[a.Alert] = true
		}
	}
	if len(names) < 8 || len(used) < 8 {
		t.Errorf("%d alerts that use %d metrics", len(names), len(used))
	}
}

// boardRules writes the expressions of the dashboard as a file of rules, which JSON is, too.
func boardRules(t *testing.T) (path string) {
	t.Helper()
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	type group struct {
		Name  string `json:"name"`
		Rules []rule `json:"rules"`
	}
	d, g := readBoard(t), group{Name: "dashboard"}
	targets := d.Annotations.List
	for _, p := range d.Panels {
		targets = append(targets, p.Targets...)
	}
	for i, q := range targets {
		g.Rules = append(g.Rules, rule{fmt.Sprintf("panel:%d", i), grafana.Replace(q.Expr)})
	}
	text, err := json.Marshal(map[string][]group{"groups": {g}})
	noErr(t, err)
	path = filepath.Join(t.TempDir(), "board.yml")
	noErr(t, os.WriteFile(path, text, 0o600))
	return path
}

// Where there is a promtool it has nothing to say: of the metrics, the alerts, and the expressions of the dashboard, which the parser of
// the other tests takes in a wider dialect. Without one, TestLint, TestRules and TestDashboard look at much the same.
func TestPromtool(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool")
	}
	if out, err := exec.Command(tool, "check", "rules", rules, boardRules(t)).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	c := exec.Command(tool, "check", "metrics")
	c.Stdin = strings.NewReader(scrape(t, metrics.Handler(busy(t))))
	if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}
