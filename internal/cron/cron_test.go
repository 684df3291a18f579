package cron

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func next(t *testing.T, zone, after string, n int, expressions ...string) []string {
	t.Helper()
	z, err := time.LoadLocation(zone)
	require.NoError(t, err)
	at, err := time.Parse(time.RFC3339, after)
	require.NoError(t, err)
	list := make([]Expression, len(expressions))
	for i, text := range expressions {
		list[i], err = Parse(text)
		require.NoError(t, err, text)
	}
	var out []string
	for _, x := range Next(list, z, at, n) {
		require.True(t, x.After(at))
		out = append(out, x.In(z).Format(time.RFC3339))
	}
	return out
}

func TestNext(t *testing.T) {
	for _, c := range []struct {
		zone, after string
		expressions []string
		want        []string
	}{
		{"UTC", "2026-01-01T00:00:00Z", []string{"* * * * *"}, []string{"2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"}},
		{"UTC", "2026-01-01T00:00:59.5Z", []string{"*/15 9-10 * * *"}, []string{"2026-01-01T09:00:00Z", "2026-01-01T09:15:00Z"}},
		{"UTC", "2026-01-01T00:00:00Z", []string{"0 0 29 2 *"}, []string{"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
		{"UTC", "2096-03-01T00:00:00Z", []string{"0 0 29 feb *"}, []string{"2104-02-29T00:00:00Z", "2108-02-29T00:00:00Z"}},
		{"UTC", "2026-01-01T00:00:00Z", []string{"30 4 * * Mon-fri"}, []string{"2026-01-01T04:30:00Z", "2026-01-02T04:30:00Z", "2026-01-05T04:30:00Z"}},
		// Either day matches where both are restricted.
		{"UTC", "2026-01-01T00:00:00Z", []string{"0 0 13 * FRI"}, []string{"2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"}},
		{"UTC", "2026-01-01T00:00:00Z", []string{"0 0 * * 5-7"}, []string{"2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z", "2026-01-09T00:00:00Z"}},
		{"UTC", "2026-01-01T00:00:00Z", []string{"0 12 * * *", "0 6,12 * * *"}, []string{"2026-01-01T06:00:00Z", "2026-01-01T12:00:00Z", "2026-01-02T06:00:00Z"}},
		{"UTC", "2026-01-01T00:10:00Z", []string{"@every 90m"}, []string{"2026-01-01T01:30:00Z", "2026-01-01T03:00:00Z"}},
		{"UTC", "1969-12-31T23:50:00Z", []string{"@every 1h"}, []string{"1970-01-01T00:00:00Z"}},
		{"UTC", "2026-12-30T00:00:00Z", []string{"@yearly"}, []string{"2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"}},
		{"Asia/Kolkata", "2026-01-01T00:00:00Z", []string{"0 6 * * *"}, []string{"2026-01-01T06:00:00+05:30"}},
		// Clocks go from 02:00 to 03:00 on 2026-03-29: there is no 02:30 on that day.
		{"Europe/Berlin", "2026-03-27T12:00:00Z", []string{"30 2 * * *"}, []string{"2026-03-28T02:30:00+01:00", "2026-03-30T02:30:00+02:00"}},
		// And back from 03:00 to 02:00 on 2026-10-25: there are two, of which the first counts, except for what runs every hour.
		{"Europe/Berlin", "2026-10-24T12:00:00Z", []string{"30 2 * * *"}, []string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		{"Europe/Berlin", "2026-10-24T23:30:00Z", []string{"30 * * * *"}, []string{"2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"}},
		{"America/New_York", "2026-11-01T03:00:00Z", []string{"30 1 * * *"}, []string{"2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"}},
		{"America/New_York", "2026-11-01T03:00:00Z", []string{"30 * * * *"}, []string{"2026-10-31T23:30:00-04:00", "2026-11-01T00:30:00-04:00", "2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00", "2026-11-01T02:30:00-05:00"}},
		{"America/New_York", "2026-03-08T05:00:00Z", []string{"0 * * * *"}, []string{"2026-03-08T01:00:00-05:00", "2026-03-08T03:00:00-04:00"}},
		// Half an hour of daylight saving.
		{"Australia/Lord_Howe", "2026-04-04T12:00:00Z", []string{"45 1 * * *"}, []string{"2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"}},
		// Midnight itself is left out.
		{"Africa/Cairo", "2026-04-22T22:30:00Z", []string{"0 0 * * *"}, []string{"2026-04-25T00:00:00+03:00"}},
		// Samoa had no 30 December 2011.
		{"Pacific/Apia", "2011-12-29T12:00:00Z", []string{"0 12 * * *"}, []string{"2011-12-29T12:00:00-10:00", "2011-12-31T12:00:00+14:00"}},
	} {
		require.Equal(t, c.want, next(t, c.zone, c.after, len(c.want), c.expressions...), "%v in %s", c.expressions, c.zone)
	}
}

func TestBetweenIncludesBothEnds(t *testing.T) {
	e, err := Parse("0 * * * *")
	require.NoError(t, err)
	from := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	require.Len(t, Between([]Expression{e}, time.UTC, from, from.Add(2*time.Hour), 100), 3)
	require.Len(t, Between([]Expression{e}, time.UTC, from, from.Add(2*time.Hour), 2), 2)
	require.Empty(t, Between([]Expression{e}, time.UTC, from.Add(time.Minute), from.Add(time.Minute), 2))
	require.Empty(t, Between([]Expression{e}, time.UTC, from, from.Add(-time.Hour), 2))
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "five fields",
		"* * * *":                  "not 4",
		"0 * * * * *":              "not 6",
		"60 * * * *":               "minute: \"60\": expected a number from 0 to 59",
		"* 24 * * *":               "hour",
		"* * 0 * *":                "day of month",
		"* * * 13 *":               "month",
		"* * * * 8":                "day of week",
		"* * * * FRI-MON":          "ends before it begins",
		"5/10 * * * *":             "a step needs",
		"*/0 * * * *":              "a step from 1",
		"*/+5 * * * *":             "a step from 1",
		"+5 * * * *":               "expected a number",
		"-5 * * * *":               "expected a number",
		"1,,2 * * * *":             "expected a number",
		"1-2-3 * * * *":            "expected a number",
		"* * L * *":                "expected a number",
		"* * ? * *":                "expected a number",
		"0 0 30 2 *":               "no such date ever comes",
		"0 0 31 4,6,9,11 *":        "no such date ever comes",
		"@reboot":                  "is not known",
		"@daily 5":                 "is not known",
		"@every":                   "a duration",
		"@every 30s":               "whole minutes",
		"@every 90s":               "whole minutes",
		"@every -1h":               "whole minutes",
		"TZ=UTC 0 0 * * *":         "not 6",
		"9999999999999999 * * * *": "expected a number",
	} {
		_, err := Parse(text)
		require.ErrorContains(t, err, want, text)
	}
	long := make([]byte, MaxExpression+1)
	_, err := Parse(string(long))
	require.ErrorContains(t, err, "at most 200")
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"* * * * *", "*/5 1-3,7 1 JAN MON-FRI/2", "@every 5m", "@daily", "0 0 29 2 1", "\x00"} {
		f.Add(text)
	}
	zone, err := time.LoadLocation("Europe/Berlin")
	require.NoError(f, err)
	at := time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Parse(text)
		if err != nil {
			return
		}
		list := Next([]Expression{e}, zone, at, 3)
		if len(list) == 0 {
			t.Fatalf("%q never comes, and was taken", text)
		}
		for i, x := range list {
			if !x.After(at) || i > 0 && !x.After(list[i-1]) {
				t.Fatalf("%q: %v", text, list)
			}
		}
	})
}

// What is asked of a clock in UTC holds every time that is meant, in every zone, and what it holds beside them is found
// out as stray.
func TestInUTC(t *testing.T) {
	day := func(text string) time.Time {
		at, err := time.Parse(time.DateOnly, text)
		require.NoError(t, err)
		return at
	}
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Kiritimati", "America/St_Johns", "Asia/Kathmandu", "Africa/Cairo", "Pacific/Niue"} {
		z, err := time.LoadLocation(zone)
		require.NoError(t, err)
		for _, text := range []string{"30 2 * * *", "*/20 1-3 * * *", "0 0 1 * *", "15 23 31 12 *", "45 0 1 1 *", "5,50 0,12,23 * * MON", "0 6 28-31 2,3 *", "0 20 1 3 5"} {
			e, err := Parse(text)
			require.NoError(t, err)
			from, to := day("2025-12-30"), day("2027-01-05")
			offsets := Offsets(z, from)
			wide := Expression{Calendars: e.InUTC(offsets)}
			held := map[int64]bool{}
			for _, at := range Between([]Expression{wide}, time.UTC, from, to, 1_000_000) {
				held[at.Unix()] = true
				meant := Means([]Expression{e}, z, at)
				require.NotEqual(t, meant, Stray([]Expression{e}, z, offsets, at), "%s in %s at %s", text, zone, at)
			}
			meant := Between([]Expression{e}, z, from, to, 1_000_000)
			require.NotEmpty(t, meant)
			for _, at := range meant {
				require.True(t, held[at.Unix()], "%s in %s at %s", text, zone, at)
			}
			require.False(t, Stray([]Expression{e}, z, offsets, day("2026-06-06").Add(13*time.Hour+37*time.Minute+1*time.Second)), "somebody asked for it")
			if zone == "UTC" {
				require.Len(t, meant, len(held))
			}
		}
	}
}
