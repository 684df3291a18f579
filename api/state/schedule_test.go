package state_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const schedulesPath = "/api/v1/slipway/projects/shop/schedules/"

func aSchedule(name string) map[string]any {
	return map[string]any{"name": name, "build": "web", "environment": "dev", "cron": []string{"30 2 * * *"}, "time_zone": "Europe/Berlin"}
}

func TestSchedules(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		ship(k)
		olga := k.as("olga")
		made := olga.post(schedulesPath, aSchedule("nightly")).object()
		require.Equal(t, []any{"nightly", "shop", "web", "dev", nil, "skip", 3600.0, true, "olga"}, []any{made["name"], made["project"], made["build"], made["environment"], made["pipeline"],
			made["overlap"], made["catch_up_seconds"], made["synchronized"], at(made, "acts_as", "name")})
		next := made["next_times"].([]any)
		require.Len(t, next, 5)
		berlin, err := time.LoadLocation("Europe/Berlin")
		require.NoError(t, err)
		first, err := time.Parse(time.RFC3339, next[0].(string))
		require.NoError(t, err)
		require.Equal(t, "02:30", first.In(berlin).Format("15:04"))
		require.Equal(t, "exists", olga.post(schedulesPath, aSchedule("nightly")).jsonError(http.StatusConflict)["kind"])
		olga.post(schedulesPath, map[string]any{"name": "ship it", "pipeline": "ship", "cron": []string{"@weekly"}, "overlap": "queue_one", "jitter_seconds": 60, "paused": true, "note": "later"}).ok()

		var list []map[string]any
		k.as("rita").get(schedulesPath).into(&list)
		require.Equal(t, []any{"nightly", "ship it"}, []any{list[0]["name"], list[1]["name"]})
		require.Equal(t, []any{"ship", "later", true}, []any{list[1]["pipeline"], list[1]["note"], list[1]["paused"]})
		require.Empty(t, list[1]["next_times"])
		k.as("rita").get("/api/v1/slipway/schedules/").into(&list)
		require.Len(t, list, 2)
		k.as("sam").get("/api/v1/slipway/schedules/").into(&list)
		require.Empty(t, list)

		changed := olga.put(schedulesPath+"nightly/", map[string]any{"cron": []string{"0 4 * * *", "0 16 * * *"}, "time_zone": "UTC", "overlap": "allow", "note": "twice"}).object()
		require.Equal(t, []any{[]any{"0 4 * * *", "0 16 * * *"}, "UTC", "allow", "twice"}, []any{changed["cron"], changed["time_zone"], changed["overlap"], changed["note"]})
		paused := olga.post(schedulesPath+"nightly/pause", map[string]any{"note": "holidays"}).object()
		require.Equal(t, []any{true, "holidays"}, []any{paused["paused"], paused["note"]})

		// Yesterday is caught up with by hand, also while it is paused.
		day := time.Now().UTC().Truncate(24 * time.Hour)
		body := map[string]any{"from": day.Add(-24 * time.Hour), "to": day}
		require.Equal(t, map[string]any{"planned": 2.0, "known": 0.0}, olga.post(schedulesPath+"nightly/backfill", body).object())
		require.Equal(t, map[string]any{"planned": 0.0, "known": 2.0}, olga.post(schedulesPath+"nightly/backfill", body).object())
		var runs []map[string]any
		k.as("rita").get(schedulesPath + "nightly/runs/").into(&runs)
		require.Equal(t, []any{"waiting", "started"}, []any{runs[0]["state"], runs[1]["state"]})
		require.Equal(t, []any{true, 1.0, "new"}, []any{runs[1]["backfill"], runs[1]["number"], runs[1]["outcome"]})
		e := k.as("rita").get("/api/v1/slipway/executions/" + runs[1]["execution_id"].(string) + "/").object()
		require.Equal(t, []any{"schedule", "olga"}, []any{at(e, "trigger", "type"), at(e, "trigger", "subject_name")})
		k.as("rita").get(schedulesPath + "nightly/runs/?page_size=1&page_from=" + runs[0]["id"].(string)).into(&runs)
		require.Len(t, runs, 1)
		require.Equal(t, "started", runs[0]["state"])
		require.Len(t, k.as("rita").get(schedulesPath + "nightly/").object()["last_runs"], 2)
		require.Equal(t, false, olga.post(schedulesPath+"nightly/resume", nil).object()["paused"])

		olga.delete(schedulesPath + "nightly/").ok()
		require.Contains(t, k.as("rita").get(schedulesPath+"nightly/").is(http.StatusNotFound), "no schedule 'nightly'")
		var lines []map[string]any
		olga.get("/api/v1/slipway/projects/shop/audit/?page_size=100").into(&lines)
		var actions []string
		for _, l := range lines {
			if a := l["action"].(string); strings.HasPrefix(a, "schedule:") {
				actions = append(actions, a+" "+l["actor_name"].(string))
			}
		}
		require.Equal(t, []string{"schedule:delete olga", "schedule:resume olga", "schedule:backfill olga", "schedule:backfill olga", "schedule:pause olga", "schedule:update olga",
			"schedule:create olga", "schedule:create olga"}, actions)
	})
}

// R5: a schedule can be saved while Temporal is away; the answer says that it is not in force yet.
func TestR5ScheduleWithoutTemporal(t *testing.T) {
	k := onSQLite(t)
	ship(k)
	k.temporal.schedules.SetAway(true)
	require.Equal(t, false, k.as("olga").post(schedulesPath, aSchedule("nightly")).object()["synchronized"])
	k.as("olga").delete(schedulesPath + "nightly/").ok()
	k.as("olga").get(schedulesPath + "nightly/").is(http.StatusNotFound)
}

func TestBadSchedules(t *testing.T) {
	k := onSQLite(t)
	ship(k)
	with := func(pairs ...any) map[string]any {
		m := aSchedule("x")
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i].(string)] = pairs[i+1]
		}
		return m
	}
	for want, body := range map[string]map[string]any{
		"name":                   with("name", ""),
		"letters, digits":        with("name", "a/b"),
		"either a pipeline":      with("pipeline", "ship"),
		"expected either":        {"name": "x", "cron": []string{"@daily"}},
		"no pipeline 'ghost'":    {"name": "x", "pipeline": "ghost", "cron": []string{"@daily"}},
		"belongs to no":          {"name": "x", "pipeline": "ship", "environment": "dev", "cron": []string{"@daily"}},
		"no environment 'ghost'": with("environment", "ghost"),
		"no build 'ghost'":       with("build", "ghost"),
		"1 to 10 cron":           with("cron", []string{}),
		"five fields":            with("cron", []string{"0 0 * *"}),
		"cron":                   with("cron", []string{strings.Repeat("*", 201)}),
		"IANA":                   with("time_zone", "Berlin"),
		"expected skip":          with("overlap", "queue"),
		"10 to 2678400 seconds":  with("catch_up_seconds", 5),
		"0 to 86400 seconds":     with("jitter_seconds", 86401),
		"note":                   with("note", strings.Repeat("x", 1001)),
		"not known":              with("next_times", []string{}),
	} {
		a := k.as("olga").post(schedulesPath, body)
		require.Contains(t, a.is(http.StatusBadRequest), want)
	}
	k.as("olga").post(schedulesPath, aSchedule("x")).ok()
	for want, body := range map[string]any{
		"end is not before": map[string]any{"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
		"has passed":        map[string]any{"from": "2026-01-02T00:00:00Z", "to": "2999-01-01T00:00:00Z"},
		"more than 500":     map[string]any{"from": "2020-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
		"ten years":         map[string]any{"from": "0001-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
		"expected a range":  map[string]any{},
		"invalid":           map[string]any{"from": "yesterday"},
	} {
		require.Contains(t, k.as("olga").post(schedulesPath+"x/backfill", body).is(http.StatusBadRequest), want)
	}
	var runs []any
	k.as("olga").get(schedulesPath + "x/runs/").into(&runs)
	require.Empty(t, runs)
	for _, bad := range []string{"?page_size=-1", "?page_size=1001", "?page_size=x", "?page_from=" + strings.Repeat("x", 101)} {
		k.as("olga").get(schedulesPath + "x/runs/" + bad).is(http.StatusBadRequest)
	}
}
