#ifndef COPENSSL_SHIM_H
#define COPENSSL_SHIM_H

/* For SHA256_Init and its like: see SHA256.swift. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* Macros that Swift does not see. */

static inline int copenssl_take_tls13_only(SSL_CTX *context)
{
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
}

static inline void copenssl_release_buffers(SSL_CTX *context)
{
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
}

static inline int copenssl_say_name(SSL *ssl, const char *name)
{
    return (int)SSL_set_tlsext_host_name(ssl, name);
}

static inline size_t copenssl_held(BIO *memory, const char **bytes)
{
    return (size_t)BIO_get_mem_data(memory, (char **)bytes);
}

static inline EVP_PKEY *copenssl_new_p256_key(void)
{
    return EVP_EC_gen("P-256");
}

static inline int copenssl_require_address(SSL *ssl, const char *address)
{
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), address);
}

#endif
