// Package cron reads cron expressions and computes the times that they mean in a time zone.
//
// An expression has the five fields of crontab(5): minute, hour, day of month, month, day of week. A field is *, a
// number, a range a-b, either with a step (*/n, a-b/n), or a list of those with commas. Months and days of the week may be
// named by their first three letters; 7 is Sunday, too. Where both days are restricted, either one matches, as in cron.
// Beyond crontab(5)'s fields there are @hourly, @daily (@midnight), @weekly, @monthly, @yearly (@annually) and @every with a
// duration such as 90m, which counts from 1970-01-01T00:00:00Z.
//
// A time that daylight saving leaves out does not come on that day. One that the clock shows twice comes once, the first
// time, unless the hour before it is meant as well: what runs every hour goes on every hour.
package cron

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxExpression is how long an expression may be, in bytes.
const MaxExpression = 200

// The bounds of @every.
const (
	minEvery = time.Minute
	maxEvery = 366 * 24 * time.Hour
)

// Set is a set of small numbers, one bit for each.
type Set uint64

// Has says whether n is in the set.
func (s Set) Has(n int) bool { return s>>n&1 == 1 }

// Calendar matches the minutes whose five parts are all in its sets.
type Calendar struct {
	Minute, Hour, Day, Month, Weekday Set
}

// Expression is one that Parse has read. It has either calendars, any of which may match, or an interval.
type Expression struct {
	Calendars []Calendar
	Every     time.Duration
}

var shorthands = map[string]string{
	"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
	"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}

// part is one of the five fields.
type part struct {
	name     string
	min, max int
	names    []string // of min, min+1 ...
}

var parts = [5]part{
	{name: "minute", max: 59},
	{name: "hour", max: 23},
	{name: "day of month", min: 1, max: 31},
	{name: "month", min: 1, max: 12, names: []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
	{name: "day of week", max: 7, names: []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}},
}

// Parse reads an expression. Its errors are for people.
func Parse(text string) (Expression, error) {
	if len(text) > MaxExpression {
		return Expression{}, fmt.Errorf("expected at most %d characters", MaxExpression)
	}
	fields := strings.Fields(text)
	if len(fields) > 0 && strings.HasPrefix(fields[0], "@") {
		if fields[0] == "@every" {
			return parseEvery(fields[1:])
		}
		long, ok := shorthands[strings.ToLower(fields[0])]
		if !ok || len(fields) > 1 {
			return Expression{}, fmt.Errorf("%q is not known: expected five fields, @hourly, @daily, @weekly, @monthly, @yearly, or @every and a duration", text)
		}
		fields = strings.Fields(long)
	}
	if len(fields) != len(parts) {
		return Expression{}, fmt.Errorf("expected five fields (minute, hour, day of month, month, day of week), not %d", len(fields))
	}
	var sets [5]Set
	for i, f := range fields {
		var err error
		if sets[i], err = parts[i].parse(f); err != nil {
			return Expression{}, fmt.Errorf("%s: %w", parts[i].name, err)
		}
	}
	if sets[4].Has(7) { // Sunday is 0 and 7
		sets[4] = sets[4]&^(1<<7) | 1
	}
	c := Calendar{sets[0], sets[1], sets[2], sets[3], sets[4]}
	e := Expression{Calendars: []Calendar{c}}
	if fields[2] != "*" && fields[4] != "*" {
		byDay, byWeekday := c, c
		byDay.Weekday, byWeekday.Day = parts[4].all()&^(1<<7), parts[2].all()
		e.Calendars = []Calendar{byDay, byWeekday}
	}
	if !e.possible() {
		return Expression{}, errors.New("no such date ever comes: the month has no such day")
	}
	return e, nil
}

func parseEvery(rest []string) (Expression, error) {
	if len(rest) != 1 {
		return Expression{}, errors.New("expected a duration after @every, such as 90m")
	}
	d, err := time.ParseDuration(rest[0])
	if err != nil || d < minEvery || d > maxEvery || d%time.Minute != 0 {
		return Expression{}, errors.New("@every takes whole minutes, from 1m to 8784h")
	}
	return Expression{Every: d}, nil
}

func (p part) all() Set { return p.span(p.min, p.max, 1) }

func (part) span(from, to, step int) Set {
	var s Set
	for n := from; n <= to; n += step {
		s |= 1 << n
	}
	return s
}

// parse reads one field.
func (p part) parse(field string) (Set, error) {
	var set Set
	for item := range strings.SplitSeq(field, ",") {
		whole, stepText, stepped := strings.Cut(item, "/")
		from, to := p.min, p.max
		if p.max == 7 {
			to = 6 // * is each day once
		}
		if whole != "*" {
			first, last, isRange := strings.Cut(whole, "-")
			var err error
			if from, err = p.number(first); err != nil {
				return 0, err
			}
			to = from
			if isRange {
				if to, err = p.number(last); err != nil {
					return 0, err
				}
			} else if stepped {
				return 0, fmt.Errorf("%q: a step needs * or a range in front of it", item)
			}
			if to < from {
				return 0, fmt.Errorf("%q: the range ends before it begins", item)
			}
		}
		step := 1
		if stepped {
			var err error
			if step, err = strconv.Atoi(stepText); err != nil || step < 1 || step > p.max || !digits(stepText) {
				return 0, fmt.Errorf("%q: expected a step from 1 to %d", item, p.max)
			}
		}
		set |= p.span(from, to, step)
	}
	return set, nil
}

func (p part) number(text string) (int, error) {
	for i, name := range p.names {
		if strings.EqualFold(text, name) {
			return p.min + i, nil
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || !digits(text) || n < p.min || n > p.max {
		return 0, fmt.Errorf("%q: expected a number from %d to %d", text, p.min, p.max)
	}
	return n, nil
}

// digits refuses the signs that strconv takes.
func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// possible says whether any year has a day that matches.
func (e Expression) possible() bool {
	longest := [...]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	for _, c := range e.Calendars {
		for month := 1; month <= 12; month++ {
			if c.Month.Has(month) && c.Day&(1<<(longest[month]+1)-1) != 0 {
				return true
			}
		}
	}
	return e.Every > 0
}
