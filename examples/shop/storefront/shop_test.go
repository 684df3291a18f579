package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestFront(t *testing.T) {
	recorder := httptest.NewRecorder()
	newShop("1.2", "dev", "Hello").ServeHTTP(recorder, httptest.NewRequest("GET", "/", nil))
	front, err := readFront(recorder.Result())
	if err != nil {
		t.Fatal(err)
	}
	if front.Version != "1.2" || front.Environment != "dev" || front.Greeting != "Hello" || len(front.Products) == 0 {
		t.Errorf("the front is %+v", front)
	}
}

func TestNothingElse(t *testing.T) {
	for _, request := range []*http.Request{
		httptest.NewRequest("GET", "/admin", nil),
		httptest.NewRequest("POST", "/", nil),
	} {
		recorder := httptest.NewRecorder()
		newShop("1.2", "dev", "Hello").ServeHTTP(recorder, request)
		if recorder.Code < 400 {
			t.Errorf("%s %s answers %d", request.Method, request.URL, recorder.Code)
		}
		if _, err := readFront(recorder.Result()); err == nil {
			t.Errorf("%s %s reads as a front", request.Method, request.URL)
		}
	}
}
