#ifndef COPENSSL_SHIM_H
#define COPENSSL_SHIM_H

/* For SHA256_Init and its like: see SHA256.swift. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#endif
