package rsql

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// evaluate says whether an asset meets a filter that the compiler accepted. It works on the parsed tree alone and shares
// no code with the compiler: it is what the databases are held against.
func evaluate(node Node, a asset) bool {
	switch node := node.(type) {
	case And:
		for _, part := range node {
			if !evaluate(part, a) {
				return false
			}
		}
		return true
	case Or:
		for _, part := range node {
			if evaluate(part, a) {
				return true
			}
		}
		return false
	}
	c := node.(*Comparison)
	switch c.Operator {
	case NotEqual:
		return !evaluateAny(c, a, true)
	case NotIn:
		return !evaluateAny(c, a, false)
	case Equal:
		return evaluateAny(c, a, true)
	case In:
		return evaluateAny(c, a, false)
	}
	order, comparable := evaluateOrder(c, a)
	switch {
	case !comparable:
		return false
	case c.Operator == Less:
		return order < 0
	case c.Operator == LessOrEqual:
		return order <= 0
	case c.Operator == Greater:
		return order > 0
	}
	return order >= 0
}

func evaluateAny(c *Comparison, a asset, wildcards bool) bool {
	return slices.ContainsFunc(c.Values, func(v Value) bool { return evaluateEqual(c.Field, v, a, wildcards) })
}

func evaluateEqual(field string, v Value, a asset, wildcards bool) bool {
	elements := func(list []string) bool {
		if v.Text == "" {
			return len(list) == 0
		}
		return slices.ContainsFunc(list, func(element string) bool { return evaluateText(&element, v, wildcards) })
	}
	switch field {
	case "q":
		return a.searchText != nil && strings.Contains(*a.searchText, evaluateFold(evaluateTrim(v)))
	case "id":
		return a.id == strings.ToLower(v.Text)
	case "name":
		return evaluateText(a.name, v, wildcards)
	case "registry":
		return evaluateText(a.registry, v, wildcards)
	case "image":
		if a.registry == nil || a.name == nil {
			return evaluateText(nil, v, wildcards)
		}
		image := *a.registry + "/" + *a.name
		return evaluateText(&image, v, wildcards)
	case "labels":
		return elements(a.labels)
	case "features":
		return elements(a.features)
	case "distribution_digests":
		return elements(a.digests)
	case "tags", "notes":
		return len(a.tags) == 0
	case "created_at", "built_at":
		moment := evaluateMoment(field, a)
		if v.Text == "" || moment == nil {
			return v.Text == "" && moment == nil
		}
		if len(v.Text) == len("2006-01-02") {
			return moment.Format("2006-01-02") == v.Text
		}
		other, err := time.Parse(time.RFC3339Nano, v.Text)
		return err == nil && other.Equal(*moment)
	case "size_bytes", "risk_score":
		number := evaluateNumber(field, a)
		if v.Text == "" || number == nil {
			return v.Text == "" && number == nil
		}
		other, err := strconv.ParseInt(v.Text, 10, 64)
		return err == nil && other == *number
	case "locked":
		if v.Text == "" || a.locked == nil {
			return v.Text == "" && a.locked == nil
		}
		return strconv.FormatBool(*a.locked) == v.Text
	}
	value, found := a.tags[strings.TrimPrefix(strings.TrimPrefix(field, "tags."), "notes.")]
	if !found {
		return evaluateText(nil, v, wildcards)
	}
	return evaluateText(&value, v, wildcards)
}

func evaluateMoment(field string, a asset) *time.Time {
	if field == "built_at" {
		return a.built
	}
	return a.created
}

func evaluateNumber(field string, a asset) *int64 {
	if field == "risk_score" {
		return a.risk
	}
	return a.size
}

func evaluateOrder(c *Comparison, a asset) (order int, comparable bool) {
	text := c.Values[0].Text
	if strings.HasSuffix(c.Field, "_at") {
		moment := evaluateMoment(c.Field, a)
		if moment == nil {
			return 0, false
		}
		if len(text) == len("2006-01-02") {
			text += "T00:00:00Z"
		}
		other, err := time.Parse(time.RFC3339Nano, text)
		return moment.Compare(other), err == nil
	}
	number := evaluateNumber(c.Field, a)
	if number == nil {
		return 0, false
	}
	other, err := strconv.ParseInt(text, 10, 64)
	switch {
	case *number < other:
		return -1, err == nil
	case *number > other:
		return 1, err == nil
	}
	return 0, err == nil
}

func evaluateText(text *string, v Value, wildcards bool) bool {
	switch {
	case v.Text == "":
		return text == nil || *text == ""
	case text == nil:
		return false
	case !wildcards || len(v.Wildcards) == 0:
		return *text == v.Text
	}
	// The texts between the asterisks, in order: the first at the start, the last at the end, the others as early as
	// possible.
	rest := evaluateFold(*text)
	start := 0
	for i, star := range v.Wildcards {
		piece := evaluateFold(v.Text[start:star])
		at := strings.Index(rest, piece)
		if at < 0 || i == 0 && at > 0 {
			return false
		}
		rest = rest[at+len(piece):]
		start = star + 1
	}
	return strings.HasSuffix(rest, evaluateFold(v.Text[start:]))
}

func evaluateTrim(v Value) string {
	first, last := 0, len(v.Text)
	for slices.Contains(v.Wildcards, first) {
		first++
	}
	for slices.Contains(v.Wildcards, last-1) {
		last--
	}
	return v.Text[first:last]
}

func evaluateFold(text string) string {
	folded := []byte(text)
	for i, b := range folded {
		if b >= 'A' && b <= 'Z' {
			folded[i] = b | 0x20
		}
	}
	return string(folded)
}
