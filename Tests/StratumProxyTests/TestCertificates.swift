import Foundation
import TestSupport

/// Certificates for tests, on one key: made with openssl, valid until 2120 where nothing else is said.
enum TestCertificates {
    static func write(_ folder: TemporaryFolder, _ name: String, _ text: String) throws -> String {
        let path = folder.file(name)
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    static let authority = """
        -----BEGIN CERTIFICATE-----
        MIIBnDCCAUGgAwIBAgIUTumhx56F+jz20YlKUDcZ5L0jOB8wCgYIKoZIzj0EAwIw
        IjEgMB4GA1UEAwwXSGFzaHNwb3QgdGVzdCBhdXRob3JpdHkwIBcNMjYxMTIxMTgy
        MTAwWhgPMjEyNjEwMjgxODIxMDBaMCIxIDAeBgNVBAMMF0hhc2hzcG90IHRlc3Qg
        YXV0aG9yaXR5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAELSXcMs+FCB70idy+
        BU1Xv1l49D2sGPs88+lfD3rOCw9yh+ueb7HD0S3YvREeDmkeDTRZ/8Avp81XdVOU
        YwrvqqNTMFEwHQYDVR0OBBYEFJf4eclC9hqT9RTnW3gm4t2tXPuvMB8GA1UdIwQY
        MBaAFJf4eclC9hqT9RTnW3gm4t2tXPuvMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZI
        zj0EAwIDSQAwRgIhAJBJnwq1y509f7khoD/fYN6EqYvf0VZY8qoMhNkCERsfAiEA
        3NZRJRdwlgJfBiiDNYcpx3mTXC4ep5WGSfu/jfdwPtk=
        -----END CERTIFICATE-----
        """
    static let secondAuthority = """
        -----BEGIN CERTIFICATE-----
        MIIBqjCCAU+gAwIBAgIUd8NNK7aVzhAYDMfnQKnFH/lRuyAwCgYIKoZIzj0EAwIw
        KTEnMCUGA1UEAwweSGFzaHNwb3Qgc2Vjb25kIHRlc3QgYXV0aG9yaXR5MCAXDTI2
        MTEyMTE4MjEwMVoYDzIxMjYxMDI4MTgyMTAxWjApMScwJQYDVQQDDB5IYXNoc3Bv
        dCBzZWNvbmQgdGVzdCBhdXRob3JpdHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
        AARM7rS8yP3ztiG9D9lZC9tHpQyHJqBt3up/aJ6SrEJHAVPpn1BNiAiAANxi0fb2
        txdAdE4c7OWub+0i7L39SzBzo1MwUTAdBgNVHQ4EFgQUFO3bNhvXe/mf23LNh8JO
        6wOI0BowHwYDVR0jBBgwFoAUFO3bNhvXe/mf23LNh8JO6wOI0BowDwYDVR0TAQH/
        BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAlnzKT3ZDNsOd7MK/3YrtlryQQTv5
        oac8Z7ptYSavjKUCIQCWHASp05P/NceezlvHJXVJ9KObIh/EOX2FnVXqi2WjDA==
        -----END CERTIFICATE-----
        """
    static let key = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgw8KuQux/LGsfjanR
        jFleQM0aXz6gjeWrz1EP6CboN9GhRANCAASRYlM4HE4cpCu5tyijFEryTGn5Ywov
        YX4WF1vnxZvOAUP+g8LRe+/QyznxFig8pqzPpUwkUFjSnjcg1dclYXJX
        -----END PRIVATE KEY-----
        """
    /// For localhost and 127.0.0.1.
    static let local = """
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
    static let renewed = """
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
    static let other = """
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
    static let expired = """
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
    static let early = """
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
