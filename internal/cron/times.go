package cron

import (
	"slices"
	"time"
)

// horizon is how far Next looks ahead: 29 February can be eight years away, on a certain day of the week forty.
const horizon = 41 * 366 * 24 * time.Hour

// Next gives the next n times after a moment that any of the expressions means on the clock of a zone, in order; each
// once, and fewer where there are not so many for decades.
func Next(expressions []Expression, zone *time.Location, after time.Time, n int) []time.Time {
	return times(expressions, zone, after, after.Add(horizon), n)
}

// Between gives the first n times from a moment to another, both included.
func Between(expressions []Expression, zone *time.Location, from, to time.Time, n int) []time.Time {
	return times(expressions, zone, from.Add(-1), to, n)
}

func times(expressions []Expression, zone *time.Location, after, to time.Time, n int) []time.Time {
	var all []time.Time
	for _, e := range expressions {
		if e.Every > 0 {
			all = append(all, e.intervals(after, to, n)...)
		} else {
			all = append(all, e.days(zone, after, to, n)...)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	all = slices.CompactFunc(all, time.Time.Equal)
	return all[:min(n, len(all))]
}

// intervals are the multiples of the interval since 1970.
func (e Expression) intervals(after, to time.Time, n int) []time.Time {
	var list []time.Time
	every := int64(e.Every / time.Second)
	k := after.Unix() / every
	if after.Unix() < 0 && after.Unix()%every != 0 {
		k-- // division rounds towards zero
	}
	for k++; len(list) < n; k++ {
		t := time.Unix(k*every, 0).UTC()
		if t.After(to) {
			break
		}
		list = append(list, t)
	}
	return list
}

// days goes through the dates, and through the minutes of those that match.
func (e Expression) days(zone *time.Location, after, to time.Time, n int) []time.Time {
	local := after.In(zone)
	var list []time.Time
	// Dates are counted in UTC, where each has 24 hours.
	for date := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.UTC); len(list) < n && date.Add(-26*time.Hour).Before(to); {
		month, match := false, false
		for _, c := range e.Calendars {
			month = month || c.Month.Has(int(date.Month()))
			match = match || c.date(date)
		}
		if !month {
			date = time.Date(date.Year(), date.Month()+1, 1, 0, 0, 0, 0, time.UTC)
			continue
		}
		if match {
			for _, t := range e.minutes(date, zone) {
				if t.After(after) && !t.After(to) && len(list) < n {
					list = append(list, t)
				}
			}
		}
		date = date.AddDate(0, 0, 1)
	}
	return list
}

func (c Calendar) date(d time.Time) bool {
	return c.Month.Has(int(d.Month())) && c.Day.Has(d.Day()) && c.Weekday.Has(int(d.Weekday()))
}

// Means says whether a moment is one of the times.
func Means(expressions []Expression, zone *time.Location, t time.Time) bool {
	return len(Between(expressions, zone, t, t, 1)) == 1
}

// minutes are the moments of a date at which the zone's clock shows a time that matches.
func (e Expression) minutes(date time.Time, zone *time.Location) []time.Time {
	var list []time.Time
	// The offsets before and after any change that this date may bring.
	_, before := date.Add(-14 * time.Hour).In(zone).Zone()
	_, behind := date.Add(38 * time.Hour).In(zone).Zone()
	for _, c := range e.Calendars {
		if !c.date(date) {
			continue
		}
		for hour := range 24 {
			if !c.Hour.Has(hour) {
				continue
			}
			for minute := range 60 {
				if !c.Minute.Has(minute) {
					continue
				}
				clock := date.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
				shows := func(t time.Time) bool {
					l := t.In(zone)
					return l.Hour() == hour && l.Minute() == minute && l.Second() == 0 && l.Day() == date.Day()
				}
				first, later := clock.Add(-time.Duration(before)*time.Second), clock.Add(-time.Duration(behind)*time.Second)
				twice := first.Before(later) && shows(first)
				if shows(first) {
					list = append(list, first)
				}
				if shows(later) && (!twice || c.Hour.Has((hour+23)%24)) {
					list = append(list, later)
				}
			}
		}
	}
	slices.SortFunc(list, time.Time.Compare)
	return slices.CompactFunc(list, time.Time.Equal)
}
