package cron

import (
	"slices"
	"time"
)

// All numbers of the fields that make a date.
var (
	everyDay     = parts[2].all()
	everyMonth   = parts[3].all()
	everyWeekday = parts[4].all() &^ (1 << 7)
)

// Offsets are the differences from UTC, in seconds, that a zone's clock has within some years of a moment, smallest first.
func Offsets(zone *time.Location, around time.Time) []int {
	var list []int
	for at := around.AddDate(-1, 0, 0); at.Before(around.AddDate(6, 0, 0)); at = at.AddDate(0, 0, 5) {
		if _, offset := at.In(zone).Zone(); !slices.Contains(list, offset) {
			list = append(list, offset)
		}
	}
	slices.Sort(list)
	return list
}

// InUTC gives calendars for a clock of UTC that hold every time that the expression can mean where a clock differs by one of
// the offsets. They hold more: which times are meant is for Means to say. With the offset 0 alone they are the expression's
// own.
func (e Expression) InUTC(offsets []int) []Calendar {
	if len(offsets) == 1 && offsets[0] == 0 {
		return e.Calendars
	}
	var list []Calendar
	for _, c := range e.Calendars {
		for _, offset := range offsets {
			for _, shifted := range c.shift(-offset / 60) {
				if !slices.Contains(list, shifted) {
					list = append(list, shifted)
				}
			}
		}
	}
	return list
}

// shift moves a calendar by minutes, less than a day forward or back. Times that come to lie on another day are a calendar
// of their own.
func (c Calendar) shift(minutes int) []Calendar {
	type key struct {
		day    int // -1, 0, 1
		minute Set
	}
	hours := map[key]Set{}
	var order []key
	for carry := -1; carry <= 1; carry++ {
		var moved Set
		rest := minutes - floor(minutes, 60)*60
		for m := range 60 {
			if c.Minute.Has(m) && floor(m+rest, 60) == carry {
				moved |= 1 << (m + rest - carry*60)
			}
		}
		if moved == 0 {
			continue
		}
		for h := range 24 {
			if !c.Hour.Has(h) {
				continue
			}
			at := h + floor(minutes, 60) + carry
			k := key{floor(at, 24), moved}
			if hours[k] == 0 {
				order = append(order, k)
			}
			hours[k] |= 1 << (at - k.day*24)
		}
	}
	var list []Calendar
	for _, k := range order {
		s := Calendar{Minute: k.minute, Hour: hours[k], Day: c.Day, Month: c.Month, Weekday: c.Weekday}
		if k.day != 0 {
			s.Day, s.Month, s.Weekday = 0, 0, 0
			for d := 1; d <= 31; d++ {
				switch {
				case !c.Day.Has(d):
				case k.day < 0 && d == 1:
					s.Day |= 1<<28 | 1<<29 | 1<<30 | 1<<31 // the last of some month
				default:
					s.Day |= 1 << (d + k.day) & everyDay
				}
				if c.Day.Has(d) && k.day > 0 && d >= 28 {
					s.Day |= 1 << 1
				}
			}
			for m := 1; m <= 12; m++ {
				if c.Month.Has(m) {
					s.Month |= 1<<m | 1<<((m+k.day+11)%12+1)
				}
			}
			for w := range 7 {
				if c.Weekday.Has(w) {
					s.Weekday |= 1 << ((w + k.day + 7) % 7)
				}
			}
		}
		list = append(list, s)
	}
	return list
}

// floor divides and rounds down.
func floor(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// Stray says whether a moment is none of the times, and would be one by the clock of another of the offsets, on some day:
// InUTC holds it, and it is not meant. A moment that is neither was chosen by somebody.
func Stray(expressions []Expression, zone *time.Location, offsets []int, t time.Time) bool {
	if Means(expressions, zone, t) {
		return false
	}
	for _, e := range expressions {
		anyDay := Expression{Calendars: make([]Calendar, len(e.Calendars))}
		for i, c := range e.Calendars {
			anyDay.Calendars[i] = Calendar{c.Minute, c.Hour, everyDay, everyMonth, everyWeekday}
		}
		for _, offset := range offsets {
			if Means([]Expression{anyDay}, time.FixedZone("", offset), t) {
				return true
			}
		}
	}
	return false
}
