package expr

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// function is a function of the language with the number of arguments that it takes.
type function struct {
	min, max int // max < 0: any number
	run      func(scope *Scope, args []any) (any, error)
}

func (f function) apply(scope *Scope, args []any) (any, error) {
	switch {
	case len(args) < f.min && f.min == f.max, f.max >= 0 && len(args) > f.max && f.min == f.max:
		return nil, fmt.Errorf("expected %d argument(s), got %d", f.min, len(args))
	case len(args) < f.min:
		return nil, fmt.Errorf("expected at least %d argument(s), got %d", f.min, len(args))
	case f.max >= 0 && len(args) > f.max:
		return nil, fmt.Errorf("expected at most %d argument(s), got %d", f.max, len(args))
	}
	return f.run(scope, args)
}

var functions map[string]function

func init() {
	functions = map[string]function{
		"id":         {1, 1, func(_ *Scope, args []any) (any, error) { return args[0], nil }},
		"equals":     {2, 2, func(_ *Scope, args []any) (any, error) { return equal(args[0], args[1]), nil }},
		"env_lookup": {1, 1, onTexts(func(s *Scope, t []string) (any, error) { return s.Env[t[0]], nil })},
		"concat":     {0, -1, concat},
		"lower":      {1, 1, onTexts(func(_ *Scope, t []string) (any, error) { return strings.ToLower(t[0]), nil })},
		"upper":      {1, 1, onTexts(func(_ *Scope, t []string) (any, error) { return strings.ToUpper(t[0]), nil })},
		"title":      {1, 1, onTexts(func(_ *Scope, t []string) (any, error) { return title(t[0]), nil })},
		"split":      {2, 2, onTexts(split)},
		"join":       {2, 2, join},
		"replace":    {3, 4, replace},
		"trim":       {1, 1, onTexts(func(_ *Scope, t []string) (any, error) { return strings.TrimSpace(t[0]), nil })},
		"base64_encode": {1, 1, onTexts(func(_ *Scope, t []string) (any, error) {
			return base64.StdEncoding.EncodeToString([]byte(t[0])), nil
		})},
		"base64_decode":       {1, 1, onTexts(base64Decode)},
		"path_exists":         {1, 1, onTexts(pathExists)},
		"file_exists":         {1, 1, onTexts(fileExists)},
		"dir_exists":          {1, 1, onTexts(dirExists)},
		"read_file":           {1, 1, onTexts(readFile)},
		"length":              {1, 1, length},
		"list_index":          {2, 2, indexFunction},
		"list_slice":          {2, 3, sliceFunction},
		"add":                 {2, 2, add},
		"timestamp":           {0, 0, timestamp},
		"track_version":       {1, 1, track(0)},
		"track_major_version": {1, 1, track(1)},
		"track_minor_version": {1, 1, track(2)},
		"track_patch_version": {1, 1, track(3)},
		"not":                 {1, 1, not},
		"and":                 {1, -1, logic(false)},
		"or":                  {1, -1, logic(true)},
		"lt":                  {2, 2, compare(func(c int) bool { return c < 0 })},
		"lte":                 {2, 2, compare(func(c int) bool { return c <= 0 })},
		"gt":                  {2, 2, compare(func(c int) bool { return c > 0 })},
		"gte":                 {2, 2, compare(func(c int) bool { return c >= 0 })},
	}
}

// onTexts checks that all arguments are texts or print as one.
func onTexts(run func(*Scope, []string) (any, error)) func(*Scope, []any) (any, error) {
	return func(scope *Scope, args []any) (any, error) {
		texts := make([]string, len(args))
		for i, arg := range args {
			text, ok := scalar(arg)
			if !ok {
				return nil, fmt.Errorf("expected a text, got a %s", kindOf(arg))
			}
			texts[i] = text
		}
		return run(scope, texts)
	}
}

func equal(a, b any) bool {
	switch left := a.(type) {
	case []any:
		right, ok := b.([]any)
		if !ok || len(left) != len(right) {
			return false
		}
		for i := range left {
			if !equal(left[i], right[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		right, ok := b.(map[string]any)
		if !ok || len(left) != len(right) {
			return false
		}
		for key := range left {
			if _, ok := right[key]; !ok || !equal(left[key], right[key]) {
				return false
			}
		}
		return true
	}
	switch b.(type) {
	case []any, map[string]any:
		return false
	}
	return a == b
}

func concat(_ *Scope, args []any) (any, error) {
	var out strings.Builder
	for _, arg := range args {
		text, ok := scalar(arg)
		if !ok {
			return nil, fmt.Errorf("expected a text, got a %s", kindOf(arg))
		}
		if out.WriteString(text); out.Len() > maxValue {
			return nil, errTooLarge
		}
	}
	return out.String(), nil
}

var errTooLarge = errors.New("the result is too large")

// title makes the first letter of every word upper case.
func title(text string) string {
	var out strings.Builder
	start := true
	for _, r := range text {
		if start {
			out.WriteString(strings.ToUpper(string(r)))
		} else {
			out.WriteRune(r)
		}
		start = r == ' ' || r == '\t' || r == '\n'
	}
	return out.String()
}

func split(_ *Scope, texts []string) (any, error) {
	parts := strings.Split(texts[0], texts[1])
	items := make([]any, len(parts))
	for i, part := range parts {
		items[i] = part
	}
	return items, nil
}

func join(_ *Scope, args []any) (any, error) {
	items, ok := args[0].([]any)
	separator, isText := args[1].(string)
	if !ok || !isText {
		return nil, errors.New("expected a list and a text")
	}
	texts := make([]string, len(items))
	total := 0
	for i, item := range items {
		text, ok := scalar(item)
		if !ok {
			return nil, fmt.Errorf("expected a list of texts, got a %s in it", kindOf(item))
		}
		if total += len(text) + len(separator); total > maxValue+len(separator) {
			return nil, errTooLarge
		}
		texts[i] = text
	}
	return strings.Join(texts, separator), nil
}

// replace takes the text, what to look for, what to put there, and how often; all of them without the last.
func replace(_ *Scope, args []any) (any, error) {
	var texts [3]string
	for i := range texts {
		text, ok := scalar(args[i])
		if !ok {
			return nil, fmt.Errorf("expected a text, got a %s", kindOf(args[i]))
		}
		texts[i] = text
	}
	times := int64(-1)
	if len(args) == 4 {
		number, ok := args[3].(int64)
		if !ok {
			return nil, errors.New("expected a whole number as the last argument")
		}
		times = number
	}
	if grow := len(texts[2]) - len(texts[1]); grow > 0 {
		if strings.Count(texts[0], texts[1])*grow+len(texts[0]) > maxValue {
			return nil, errTooLarge
		}
	}
	return strings.Replace(texts[0], texts[1], texts[2], int(max(min(times, math.MaxInt32), -1))), nil
}

func base64Decode(_ *Scope, texts []string) (any, error) {
	data, err := base64.StdEncoding.DecodeString(texts[0])
	if err != nil {
		return nil, errors.New("the text is not base64")
	}
	return string(data), nil
}

func length(_ *Scope, args []any) (any, error) {
	switch v := args[0].(type) {
	case string:
		return int64(utf8.RuneCountInString(v)), nil
	case []any:
		return int64(len(v)), nil
	case map[string]any:
		return int64(len(v)), nil
	}
	return nil, fmt.Errorf("expected a list or a text, got a %s", kindOf(args[0]))
}

func indexFunction(_ *Scope, args []any) (any, error) {
	number, ok := args[1].(int64)
	if !ok {
		return nil, errors.New("expected a whole number")
	}
	return listIndex(args[0], number)
}

// listIndex takes the item at a place; a negative one counts from the end.
func listIndex(list any, at int64) (any, error) {
	items, ok := list.([]any)
	if !ok {
		return nil, fmt.Errorf("expected a list, got a %s", kindOf(list))
	}
	place := at
	if place < 0 {
		place += int64(len(items))
	}
	if place < 0 || place >= int64(len(items)) {
		return nil, fmt.Errorf("there is no item %d in a list of %d", at, len(items))
	}
	return items[place], nil
}

func sliceFunction(_ *Scope, args []any) (any, error) {
	var bounds [2]*int64
	for i, arg := range args[1:] {
		number, ok := arg.(int64)
		if !ok {
			return nil, errors.New("expected a whole number")
		}
		bounds[i] = &number
	}
	return listSlice(args[0], bounds[0], bounds[1])
}

// listSlice takes the items from one place up to another one; negative places count from the end. A text is sliced by
// characters.
func listSlice(of any, from, to *int64) (any, error) {
	var count int64
	runes := []rune(nil)
	items, isList := of.([]any)
	switch text, isText := of.(string); {
	case isList:
		count = int64(len(items))
	case isText:
		runes = []rune(text)
		count = int64(len(runes))
	default:
		return nil, fmt.Errorf("expected a list or a text, got a %s", kindOf(of))
	}
	first, last := int64(0), count
	for _, bound := range []struct {
		given  *int64
		target *int64
	}{{from, &first}, {to, &last}} {
		if bound.given == nil {
			continue
		}
		place := *bound.given
		if place < 0 {
			place += count
		}
		if place < 0 || place > count {
			return nil, fmt.Errorf("the place %d is outside of %d items", *bound.given, count)
		}
		*bound.target = place
	}
	if first > last {
		return nil, errors.New("the slice ends before it starts")
	}
	if isList {
		return append([]any{}, items[first:last]...), nil
	}
	return string(runes[first:last]), nil
}

func add(_ *Scope, args []any) (any, error) {
	a, okA := args[0].(int64)
	b, okB := args[1].(int64)
	if !okA || !okB {
		return nil, errors.New("expected two whole numbers")
	}
	if sum := a + b; (sum > a) == (b > 0) {
		return sum, nil
	}
	return nil, errors.New("the sum is too large")
}

// timestamp gives the seconds since 1970 as a text.
func timestamp(scope *Scope, _ []any) (any, error) {
	now := scope.Now
	if now.IsZero() {
		now = time.Now()
	}
	return fmt.Sprint(now.Unix()), nil
}

// track gives the version of a plan that follows another version: its first parts and "@", which stands for the next
// free number. Zero parts mean the version itself. Missing parts count as 0.
func track(parts int) func(*Scope, []any) (any, error) {
	return func(_ *Scope, args []any) (any, error) {
		value := args[0]
		if release, ok := value.(map[string]any); ok {
			value = release["version"]
		}
		text, ok := value.(string)
		if !ok || text == "" {
			return nil, fmt.Errorf("expected a version, got a %s", kindOf(value))
		}
		text = strings.TrimPrefix(text, "v")
		if parts == 0 {
			return text, nil
		}
		numbers := strings.Split(text, ".")
		for len(numbers) < parts {
			numbers = append(numbers, "0")
		}
		return strings.Join(numbers[:parts], ".") + ".@", nil
	}
}

func truth(value any) (bool, error) {
	if b, ok := value.(bool); ok {
		return b, nil
	}
	return false, fmt.Errorf("expected true or false, got a %s", kindOf(value))
}

func not(_ *Scope, args []any) (any, error) {
	b, err := truth(args[0])
	return !b, err
}

// logic gives "and" (stop false) or "or" (stop true).
func logic(stop bool) func(*Scope, []any) (any, error) {
	return func(_ *Scope, args []any) (any, error) {
		result := !stop
		for _, arg := range args {
			b, err := truth(arg)
			if err != nil {
				return nil, err
			}
			if b == stop {
				result = stop
			}
		}
		return result, nil
	}
}

func compare(test func(int) bool) func(*Scope, []any) (any, error) {
	return func(_ *Scope, args []any) (any, error) {
		switch a := args[0].(type) {
		case int64:
			if b, ok := args[1].(int64); ok {
				switch {
				case a < b:
					return test(-1), nil
				case a > b:
					return test(1), nil
				}
				return test(0), nil
			}
		case string:
			if b, ok := args[1].(string); ok {
				return test(strings.Compare(a, b)), nil
			}
		}
		return nil, fmt.Errorf("cannot compare a %s with a %s", kindOf(args[0]), kindOf(args[1]))
	}
}
