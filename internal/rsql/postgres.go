package rsql

import "encoding/json"

// postgresWriter avoids the operators of jsonb that are spelled with "?": GORM takes each "?" for a parameter.
type postgresWriter struct{}

// fold uses the collation "C", under which lower() changes A to Z only. Others change more letters, or fewer: the
// dotless i of a Turkish locale.
func (postgresWriter) fold(text expression) expression {
	return concat(raw("lower(("), text, raw(`) COLLATE "C")`))
}

// like relies on the backslash as the default escape character: with an ESCAPE clause the planner sees a function call
// instead of a pattern.
func (postgresWriter) like(folded expression, pattern string) expression {
	return concat(folded, raw(" LIKE "), bound(pattern))
}

func (postgresWriter) timestamp(value any) expression { return cast(bound(value), "timestamptz") }

// integer is cast because the driver refuses a number that does not fit an int4 column, instead of finding no row.
func (postgresWriter) integer(value any) expression { return cast(bound(value), "bigint") }

func (postgresWriter) id(value any) expression { return cast(bound(value), "uuid") }

func cast(e expression, to string) expression { return concat(e, raw("::"+to)) }

func (postgresWriter) elements(source Source) (from, element string) {
	switch source := source.(type) {
	case TextArray:
		return "unnest(" + source.Expr + ") AS element(value) WHERE element.value IS NOT NULL", "element.value"
	case JSONArray:
		// jsonb_array_elements_text fails on JSON null.
		return "jsonb_array_elements_text(CASE WHEN jsonb_typeof(" + source.Expr + ") = 'array' THEN " + source.Expr +
			" END) AS element(value) WHERE element.value IS NOT NULL", "element.value"
	case ChildRows:
		return source.From, source.Value
	}
	return "", ""
}

func (postgresWriter) filled(Source) (expression, bool) { return expression{}, false }

func (postgresWriter) mayMatch(Source, string, string) (expression, bool) { return expression{}, false }

func (postgresWriter) contains(source Source, texts []any) (expression, bool) {
	switch source := source.(type) {
	case TextArray:
		return concat(raw("("+source.Expr+") && ARRAY["), parameters(texts), raw("]::text[]")), true
	case JSONArray:
		return containsDocument(source.Expr, texts, func(text any) any { return []any{text} }), true
	}
	return expression{}, false
}

func (postgresWriter) member(source JSONObject, key string) expression {
	return concat(raw("(("+source.Expr+") ->> "), bound(key), raw("::text)"))
}

func (postgresWriter) filledMember(JSONObject, string) (expression, bool) { return expression{}, false }

func (postgresWriter) hasMember(source JSONObject, key string, texts []any) (expression, bool) {
	return containsDocument(source.Expr, texts, func(text any) any { return map[string]any{key: text} }), true
}

// containsDocument tests for any of some documents, each with an operator of its own: a GIN index serves those, but not
// = ANY over an array of documents.
func containsDocument(expr string, texts []any, document func(any) any) expression {
	list := make([]expression, len(texts))
	for i, text := range texts {
		// Texts only: marshalling cannot fail.
		encoded, _ := json.Marshal(document(text))
		list[i] = concat(raw("("+expr+") @> "), cast(bound(string(encoded)), "jsonb"))
	}
	return anyOf(list)
}

func (postgresWriter) emptyObject(source JSONObject) expression {
	return raw("COALESCE((" + source.Expr + ") IN ('{}'::jsonb, 'null'::jsonb), true)")
}
