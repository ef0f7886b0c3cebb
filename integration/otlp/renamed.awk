# Reads the page with the table of renamed attributes, and then what the collector's debug exporter wrote. The page must
# have a statement for each of them. On spans and on points of metrics, each of them has to be there under both names.
# Says what is wrong, and exits with 1.
#
#   services   those that must have sent spans and points of metrics
#   keys       attributes, by their new names, that must be on spans of each service

function ends() {
  if (kind == "resource") {
    service = attributes["service.name"]
    gsub(/^Str\(|\)$/, "", service)
  }
  if (kind == "span" || kind == "point") {
    for (new in before) {
      if (!(new in attributes)) continue
      seen[service, kind, new] = 1
      old = before[new]
      value = old in attributes ? attributes[old] : "not there"
      if (value != attributes[new])
        wrong(sprintf("%s: a %s has %s: %s, but %s is %s", service, kind, new, attributes[new], old, value))
    }
  }
  kind = ""
  split("", attributes)
}

function begins(what) {
  ends()
  kind = what
}

function wrong(text) {
  if (!told[text]++) print text
  failed = 1
}

function must_have(service, kind, new) {
  if (!((service, kind, new) in seen)) wrong(sprintf("%s: no %s with %s came", service, kind, new))
}

FNR == NR {
  if ($0 ~ /^\| `.*` \| `.*` \|$/) {
    split($0, cells, "`")
    before[cells[4]] = cells[2]
  }
  if ($0 ~ /set\(span\.attributes/) {
    split($0, cells, "\"")
    stated[cells[4]] = cells[2]
  }
  next
}

match($0, /Resource[A-Z][a-z]+ #/) { signal = substr($0, RSTART + 8, RLENGTH - 10) }
/^Resource attributes:/ { begins("resource"); next }
/^Attributes:/ { begins(signal == "Spans" ? "span" : ""); next }
/^Data point attributes:/ { begins("point"); next }
/^     -> / && kind {
  separator = index($0, ": ")
  attributes[substr($0, 9, separator - 9)] = substr($0, separator + 2)
  next
}
/^[^ ]/ && kind { ends() }

END {
  ends()
  # Not all of them are on a span that comes.
  for (new in before) if (stated[new] != before[new]) wrong("the page has no statement for " before[new])
  split(services, all_services, " ")
  split(keys, all_keys, " ")
  for (i in all_services) {
    must_have(all_services[i], "span", "messaging.system.name")
    must_have(all_services[i], "point", "messaging.system.name")
    for (j in all_keys) must_have(all_services[i], "span", all_keys[j])
  }
  exit failed
}
