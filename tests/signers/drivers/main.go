// Signs the vectors of a file with the Go signer: `main VECTORS` prints a JSON list of URLs and refusals.
package main

import (
	"encoding/json"
	"os"
	"time"

	"signers/countermark"
)

type told struct {
	Life          int64
	Exact         bool
	NotBefore     int64 `json:"not_before"`
	IP            string
	TransformHash string `json:"transform_hash"`
	Issued        int64
	Countries     []string
	Session       string
	Client        string
	User          string
	Context       string
	JTI           string
	Once          string
	Now           int64
}

type document struct {
	Keys map[string]struct {
		Kid, Secret string
		PrivateKey  string `json:"private_key"`
	}
	Vectors []struct {
		Key, Audience, Base, Path string
		Operations                map[string]string
		Options                   told
	}
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	var read document
	if err := json.Unmarshal(text, &read); err != nil {
		panic(err)
	}
	var results []map[string]string
	for _, vector := range read.Vectors {
		key := read.Keys[vector.Key]
		material, make := key.Secret, countermark.New
		if key.PrivateKey != "" {
			material, make = key.PrivateKey, countermark.NewEd25519
		}
		signer, err := make(key.Kid, material, vector.Audience, vector.Base)
		url := ""
		if err == nil {
			url, err = signer.URL(vector.Path, vector.Operations, options(vector.Options))
		}
		if err != nil {
			results = append(results, map[string]string{"refused": err.Error()})
			continue
		}
		results = append(results, map[string]string{"url": url})
	}
	json.NewEncoder(os.Stdout).Encode(results)
}

func options(given told) countermark.Options {
	made := countermark.Options{
		Life:          time.Duration(given.Life) * time.Second,
		Exact:         given.Exact,
		IP:            given.IP,
		TransformHash: given.TransformHash,
		Countries:     given.Countries,
		Session:       given.Session,
		Client:        given.Client,
		User:          given.User,
		Context:       given.Context,
		JTI:           given.JTI,
		Once:          given.Once,
		Now:           time.Unix(given.Now, 0),
	}
	if given.NotBefore != 0 {
		made.NotBefore = time.Unix(given.NotBefore, 0)
	}
	if given.Issued != 0 {
		made.Issued = time.Unix(given.Issued, 0)
	}
	return made
}
