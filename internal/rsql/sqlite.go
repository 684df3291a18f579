package rsql

import "strings"

type sqliteWriter struct{}

// fold changes A to Z only: SQLite is built without ICU.
func (sqliteWriter) fold(text expression) expression { return concat(raw("lower("), text, raw(")")) }

// like names the escape character, since SQLite has none by default.
func (sqliteWriter) like(folded expression, pattern string) expression {
	return concat(folded, raw(" LIKE "), bound(pattern), raw(` ESCAPE '\'`))
}

func (sqliteWriter) timestamp(value any) expression { return bound(value) }
func (sqliteWriter) integer(value any) expression   { return bound(value) }
func (sqliteWriter) id(value any) expression        { return bound(value) }

// elements takes texts only: json_each gives one row, NULL, for JSON null.
func (sqliteWriter) elements(source Source) (from, element string) {
	switch source := source.(type) {
	case JSONArray:
		return "json_each(" + source.Expr + ") AS element WHERE element.type = 'text'", "element.value"
	case ChildRows:
		return source.From, source.Value
	}
	return "", ""
}

// filled looks for a quotation mark, without which JSON has no text.
func (sqliteWriter) filled(source Source) (expression, bool) {
	array, ok := source.(JSONArray)
	return hasText(array.Expr), ok
}

func hasText(expr string) expression { return raw(`COALESCE(instr(` + expr + `, '"'), 0) > 0`) }

// mayMatch matches the text of the whole array or object, where the texts that are looked for stand in it as they are.
func (w sqliteWriter) mayMatch(source Source, key, pattern string) (expression, bool) {
	if !plainInJSON(strings.NewReplacer(`\%`, "%", `\_`, "_").Replace(pattern)) || !plainInJSON(key) {
		return expression{}, false
	}
	switch source := source.(type) {
	case JSONArray:
		if pattern == "%" {
			return hasText(source.Expr), true
		}
		return w.like(w.fold(raw(source.Expr)), `%"`+pattern+`"%`), true
	case JSONObject:
		return w.like(w.fold(raw(source.Expr)), `%"`+escapeLike(Fold(key))+`":"`+pattern+`"%`), true
	}
	return expression{}, false
}

// contains looks for each text, in quotes, in the text of the array before it reads the array: to read the JSON of every
// row costs several times as much as all else.
func (w sqliteWriter) contains(source Source, texts []any) (expression, bool) {
	array, ok := source.(JSONArray)
	if !ok {
		return expression{}, false
	}
	may, ok := anyInText(array.Expr, texts, func(text string) string { return `"` + text + `"` })
	if !ok {
		return expression{}, false
	}
	from, element := w.elements(source)
	return onlyIf(may, concat(raw("EXISTS (SELECT 1 FROM "+from+" AND "+element+" IN ("), parameters(texts), raw("))"))), true
}

// fewTexts is how many texts are looked for one by one.
const fewTexts = 8

// anyInText tests whether the text of a JSON document holds any of some texts, each as written, which says what it is in
// JSON. It gives false where a text could be written in JSON in more than one way.
func anyInText(expr string, texts []any, written func(text string) string) (expression, bool) {
	if len(texts) > fewTexts {
		return expression{}, false
	}
	list := make([]expression, len(texts))
	for i, text := range texts {
		t, ok := text.(string)
		if !ok || !plainInJSON(t) {
			return expression{}, false
		}
		list[i] = concat(raw("instr("+expr+", "), bound(written(t)), raw(") > 0"))
	}
	return anyOf(list), true
}

// onlyIf tests what is cheap before what is not. Below a NOT, SQLite computes both sides of an AND.
func onlyIf(cheap, dear expression) expression {
	return concat(raw("CASE WHEN "), cheap, raw(" THEN "), dear, raw(" ELSE 0 END"))
}

// plainInJSON says that every writer of JSON writes the text as it is, without escapes.
func plainInJSON(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`"\&<>'`, r) })
}

// member compares the key as a parameter. The operators -> and ->> would read it as a path, in which quotes, brackets
// and dots have a meaning.
func (sqliteWriter) member(source JSONObject, key string) expression {
	return concat(raw("(SELECT member.value FROM json_each("+source.Expr+
		") AS member WHERE member.type = 'text' AND member.key = "), bound(key), raw(" LIMIT 1)"))
}

// filledMember looks for the key with the beginning of its text. Within a text quotation marks are escaped, so that only a key
// stands between two bare ones.
func (sqliteWriter) filledMember(source JSONObject, key string) (expression, bool) {
	if !plainInJSON(key) {
		return expression{}, false
	}
	start := `"` + key + `":"`
	return concat(raw("COALESCE(instr("+source.Expr+", "), bound(start), raw(") > 0 AND instr("+source.Expr+", "), bound(start+`"`), raw(") = 0, 0)")), true
}

// hasMember looks for the key and the text together, as contains does.
func (w sqliteWriter) hasMember(source JSONObject, key string, texts []any) (expression, bool) {
	if !plainInJSON(key) {
		return expression{}, false
	}
	may, ok := anyInText(source.Expr, texts, func(text string) string { return `"` + key + `":"` + text + `"` })
	if !ok {
		return expression{}, false
	}
	return onlyIf(may, concat(w.member(source, key), raw(" IN ("), parameters(texts), raw(")"))), true
}

func (sqliteWriter) emptyObject(source JSONObject) expression {
	return concat(raw("NOT "), hasText(source.Expr))
}
