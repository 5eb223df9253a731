internal import Foundation

/// Certificates for tests, on one key: made with openssl, valid until 2120 where nothing else is said.
public enum TestCertificates {
    public static func write(_ folder: TemporaryFolder, _ name: String, _ text: String) throws -> String {
        let path = folder.file(name)
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    public static let authority = """
        -----BEGIN CERTIFICATE-----
        MIIBdzCCAR2gAwIBAgIBBjAKBggqhkjOPQQDAjAiMSAwHgYDVQQDDBdIYXNoc3Bv
        dCB0ZXN0IGF1dGhvcml0eTAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAw
        MFowIjEgMB4GA1UEAwwXSGFzaHNwb3QgdGVzdCBhdXRob3JpdHkwWTATBgcqhkjO
        PQIBBggqhkjOPQMBBwNCAAQtJdwyz4UIHvSJ3L4FTVe/WXj0PawY+zzz6V8Pes4L
        D3KH655vscPRLdi9ER4OaR4NNFn/wC+nzVd1U5RjCu+qo0IwQDAPBgNVHRMBAf8E
        BTADAQH/MA4GA1UdDwEB/wQEAwIBBjAdBgNVHQ4EFgQUl/h5yUL2GpP1FOdbeCbi
        3a1c+68wCgYIKoZIzj0EAwIDSAAwRQIgDr03PgmZ3x9HUBjNHMI8qGk5lwpEudlu
        wooOUszbuIgCIQDNsmfXgSGdzleBTp46yXZlxK/22TUVQ4YYAFbmsEEUzQ==
        -----END CERTIFICATE-----
        """
    public static let secondAuthority = """
        -----BEGIN CERTIFICATE-----
        MIIBhDCCASugAwIBAgIBBzAKBggqhkjOPQQDAjApMScwJQYDVQQDDB5IYXNoc3Bv
        dCBzZWNvbmQgdGVzdCBhdXRob3JpdHkwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAx
        MDEwMDAwMDBaMCkxJzAlBgNVBAMMHkhhc2hzcG90IHNlY29uZCB0ZXN0IGF1dGhv
        cml0eTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABEzutLzI/fO2Ib0P2VkL20el
        DIcmoG3e6n9onpKsQkcBU+mfUE2ICIAA3GLR9va3F0B0Thzs5a5v7SLsvf1LMHOj
        QjBAMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgEGMB0GA1UdDgQWBBQU
        7ds2G9d7+Z/bcs2Hwk7rA4jQGjAKBggqhkjOPQQDAgNHADBEAiAs00vtgUuCMZPp
        cD0VlRDIS8MiZxrds1nDt7lmyLJPXQIga8SPQKy6A2cIqlmCX7D+sMGH5gejZFi4
        lI7Dj3QUkwE=
        -----END CERTIFICATE-----
        """
    public static let key = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgw8KuQux/LGsfjanR
        jFleQM0aXz6gjeWrz1EP6CboN9GhRANCAASRYlM4HE4cpCu5tyijFEryTGn5Ywov
        YX4WF1vnxZvOAUP+g8LRe+/QyznxFig8pqzPpUwkUFjSnjcg1dclYXJX
        -----END PRIVATE KEY-----
        """
    /// For localhost and 127.0.0.1.
    public static let local = """
        -----BEGIN CERTIFICATE-----
        MIIBjDCCATKgAwIBAgIBATAKBggqhkjOPQQDAjAiMSAwHgYDVQQDDBdIYXNoc3Bv
        dCB0ZXN0IGF1dGhvcml0eTAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAw
        MFowEDEOMAwGA1UEAwwFbG9jYWwwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASR
        YlM4HE4cpCu5tyijFEryTGn5YwovYX4WF1vnxZvOAUP+g8LRe+/QyznxFig8pqzP
        pUwkUFjSnjcg1dclYXJXo2kwZzAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEw
        CQYDVR0TBAIwADAdBgNVHQ4EFgQUQqeKRA17VBQ689QG06tLasTx1NEwHwYDVR0j
        BBgwFoAUl/h5yUL2GpP1FOdbeCbi3a1c+68wCgYIKoZIzj0EAwIDSAAwRQIgST55
        DhkitU8BbRm4EjOQ7sltHY+LKkDtrE+aitJwg7MCIQDE0WW3Ifilh9I2TVO+Jvug
        Ne/Da2+dkB6lREbJqwMK0g==
        -----END CERTIFICATE-----
        """
    /// The same by the second authority.
    public static let renewed = """
        -----BEGIN CERTIFICATE-----
        MIIBlTCCATugAwIBAgIBBTAKBggqhkjOPQQDAjApMScwJQYDVQQDDB5IYXNoc3Bv
        dCBzZWNvbmQgdGVzdCBhdXRob3JpdHkwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAx
        MDEwMDAwMDBaMBIxEDAOBgNVBAMMB3JlbmV3ZWQwWTATBgcqhkjOPQIBBggqhkjO
        PQMBBwNCAASRYlM4HE4cpCu5tyijFEryTGn5YwovYX4WF1vnxZvOAUP+g8LRe+/Q
        yznxFig8pqzPpUwkUFjSnjcg1dclYXJXo2kwZzAaBgNVHREEEzARgglsb2NhbGhv
        c3SHBH8AAAEwCQYDVR0TBAIwADAdBgNVHQ4EFgQUQqeKRA17VBQ689QG06tLasTx
        1NEwHwYDVR0jBBgwFoAUFO3bNhvXe/mf23LNh8JO6wOI0BowCgYIKoZIzj0EAwID
        SAAwRQIgUQWheOJ1D6YWkKw6RHodIQGhmmWGW58j1F6RtM05U2QCIQD31A2zQy61
        dPjCy8W2v2PkP++WXjJLEaIP3QFIdGNo2g==
        -----END CERTIFICATE-----
        """
    /// For pool.example.
    public static let other = """
        -----BEGIN CERTIFICATE-----
        MIIBiTCCAS+gAwIBAgIBAjAKBggqhkjOPQQDAjAiMSAwHgYDVQQDDBdIYXNoc3Bv
        dCB0ZXN0IGF1dGhvcml0eTAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAw
        MFowEDEOMAwGA1UEAwwFb3RoZXIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASR
        YlM4HE4cpCu5tyijFEryTGn5YwovYX4WF1vnxZvOAUP+g8LRe+/QyznxFig8pqzP
        pUwkUFjSnjcg1dclYXJXo2YwZDAXBgNVHREEEDAOggxwb29sLmV4YW1wbGUwCQYD
        VR0TBAIwADAdBgNVHQ4EFgQUQqeKRA17VBQ689QG06tLasTx1NEwHwYDVR0jBBgw
        FoAUl/h5yUL2GpP1FOdbeCbi3a1c+68wCgYIKoZIzj0EAwIDSAAwRQIgePQTjPSk
        MQNxR42WW3K//JvIpehtsOKHyYkktWB1c2QCIQDkieVlw4naUniywTjR6xxVJau2
        UM/YVEGq0/NypLTn5g==
        -----END CERTIFICATE-----
        """
    /// For localhost, until 2021.
    public static let expired = """
        -----BEGIN CERTIFICATE-----
        MIIBjDCCATKgAwIBAgIBAzAKBggqhkjOPQQDAjAiMSAwHgYDVQQDDBdIYXNoc3Bv
        dCB0ZXN0IGF1dGhvcml0eTAeFw0yMDAxMDEwMDAwMDBaFw0yMTAxMDEwMDAwMDBa
        MBIxEDAOBgNVBAMMB2V4cGlyZWQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASR
        YlM4HE4cpCu5tyijFEryTGn5YwovYX4WF1vnxZvOAUP+g8LRe+/QyznxFig8pqzP
        pUwkUFjSnjcg1dclYXJXo2kwZzAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEw
        CQYDVR0TBAIwADAdBgNVHQ4EFgQUQqeKRA17VBQ689QG06tLasTx1NEwHwYDVR0j
        BBgwFoAUl/h5yUL2GpP1FOdbeCbi3a1c+68wCgYIKoZIzj0EAwIDSAAwRQIgGro+
        QYiqESL5gOqL34r0gKfsj0SAnNA2is+CBifUa7cCIQDQUX5Zoas2c8bZFMJukRgg
        RrUa4FOsr31rYsZDJNLsIA==
        -----END CERTIFICATE-----
        """
    /// For localhost, from 2100 on.
    public static let early = """
        -----BEGIN CERTIFICATE-----
        MIIBjjCCATSgAwIBAgIBBDAKBggqhkjOPQQDAjAiMSAwHgYDVQQDDBdIYXNoc3Bv
        dCB0ZXN0IGF1dGhvcml0eTAiGA8yMTAwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAw
        MDAwWjAQMQ4wDAYDVQQDDAVlYXJseTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA
        BJFiUzgcThykK7m3KKMUSvJMafljCi9hfhYXW+fFm84BQ/6DwtF779DLOfEWKDym
        rM+lTCRQWNKeNyDV1yVhclejaTBnMBoGA1UdEQQTMBGCCWxvY2FsaG9zdIcEfwAA
        ATAJBgNVHRMEAjAAMB0GA1UdDgQWBBRCp4pEDXtUFDrz1AbTq0tqxPHU0TAfBgNV
        HSMEGDAWgBSX+HnJQvYak/UU51t4JuLdrVz7rzAKBggqhkjOPQQDAgNIADBFAiEA
        /2hDUKp5foEA7pKt2ALOyKUrLgtJHhlMCYkJiD4/B1sCIAGiwGyy9DahJiSs1McA
        4q2PufZDiypkmmVEXfIEMVml
        -----END CERTIFICATE-----
        """
}
