package models

import "gorm.io/gorm"

// all runs a query for any number of rows.
func all[T any](q *gorm.DB) ([]T, error) {
	var list []T
	err := q.Find(&list).Error
	return list, err
}

// take runs a query for one row. ErrNotFound where there is none.
func take[T any](q *gorm.DB) (*T, error) {
	var row T
	if err := one(q.Take(&row)); err != nil {
		return nil, err
	}
	return &row, nil
}
