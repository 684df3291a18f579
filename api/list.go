package api

// Each shows the rows of a list, one after another. What it gives is never nil: an empty list is [] in JSON, not null.
func Each[T, V any](rows []T, show func(*T) V) []V {
	out := make([]V, len(rows))
	for i := range rows {
		out[i] = show(&rows[i])
	}
	return out
}

// TryEach is Each for rows that cannot always be shown, such as those with something sealed. The first error ends it.
func TryEach[T, V any](rows []T, show func(*T) (V, error)) ([]V, error) {
	out := make([]V, len(rows))
	for i := range rows {
		var err error
		if out[i], err = show(&rows[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
