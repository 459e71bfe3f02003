from knowledge.loaders import load_documents
from knowledge.loaders.types import LoadLimits, RawFile

SOURCE = """= The House
:author: Ada
:toc:

// a remark
== Devices

.Where they stand
[cols="1,1"]
|===
|Device |Shelf

|Router
|Bramble

|Scanner |Medlar
|===

* one
** two with https://example.org[a page]
* [x] done
* [ ] open

[source,sh]
----
== no heading
|===
----

////
secret
////

See <<key,the key>> and xref:a.adoc[the rest].
"""
TEXT = """# The House

author: Ada

## Devices

**Where they stand**

| Device | Shelf |
| --- | --- |
| Router | Bramble |
| Scanner | Medlar |

- one
  - two with [a page](https://example.org)
- [x] done
- [ ] open

```
== no heading
|===
```

See the key and the rest."""


def test_a_document_becomes_markdown() -> None:
    (document,) = load_documents(RawFile("house.adoc", SOURCE.encode()), LoadLimits())
    assert document.title == "The House"
    assert document.text == TEXT
