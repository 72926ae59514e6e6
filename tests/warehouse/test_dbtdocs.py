"""dbt's own pages as one file: whole, in two languages, offline, and silent about this machine."""

from __future__ import annotations

import re

import pytest
from browser import CHROMIUM, browser
from kinhteso import building
from kinhteso.local import dbtdocs
from psycopg.conninfo import conninfo_to_dict


@pytest.fixture(scope="module")
def page(module_dsn, tmp_path_factory):
    return module_dsn, dbtdocs.make(tmp_path_factory.mktemp("docs") / "dbt-docs.html", module_dsn)


def test_it_says_nothing_of_this_machine(page):
    dsn, path = page
    text, login = path.read_text(encoding="utf-8"), conninfo_to_dict(dsn)
    assert login["password"] not in text and f"127.0.0.1:{login['port']}" not in text and f'"port": {login["port"]}' not in text
    assert str(building.project_dir().parent) not in text and not re.search(r'"(/tmp|/home|/root|/work)/', text)
    assert "cloudfront" not in text and "sinter-collect" not in text
    assert "Households with a digital store, each once" in text


def test_a_page_that_counts_its_readers_otherwise_is_refused():
    with pytest.raises(dbtdocs.DocsFailed, match="not the one that is known"):
        dbtdocs.clean("<script>count()</script>", [])
    assert dbtdocs.clean('a,turn_on_tracking:function(){x="//d1fc8wv8zag5ca.cloudfront.net/2.9.0/sp.js"} /srv/it/models', ["/srv/it"]) == (
        'a,turn_on_tracking:function(){return;x=""} /models'
    )


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: the page cannot be looked at")
def test_it_is_read_in_a_browser_without_the_internet(page):
    with browser() as tab:
        tab.go(page[1].as_uri() + "#!/model/model.kinhteso.kpi_commune_daily.v1")
        tab.until("document.body.innerText.includes('Số hộ có cửa hàng trên cả hai sàn · Households with a store on both platforms')")
        tab.until("document.body.innerText.includes('numeric(9,6)')")
        assert "digital-economy-department" in tab.text()
        loaded = tab.value("performance.getEntriesByType('resource').map(one => one.name).filter(name => !/^(data|file):/.test(name))")
        assert loaded == [], "everything is in the file"
        tab.go(page[1].as_uri() + "#!/exposure/exposure.kinhteso.campaign_progress")
        tab.until("document.body.innerText.includes('Tiến độ chiến dịch')")
