"""Digests of SQLAlchemy's mapped classes and tables."""

import pytest

from pyplant.fingerprint.fingerprint import fingerprint_of
from tests.fingerprint.helpers import load

pytest.importorskip("sqlalchemy.orm", reason="needs SQLAlchemy")
pytestmark = pytest.mark.slow

TEXT = """
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
def helper():
    return 5
class Base(DeclarativeBase):
    pass
class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(30), default="x")
    posts: Mapped[list["Post"]] = relationship(back_populates="user")
    def label(self):
        return self.name + "!"
class Post(Base):
    __tablename__ = "posts"
    id = sa.Column(sa.Integer, primary_key=True)
    made = sa.Column(sa.Integer, default=lambda: helper())
    user_id = sa.Column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    user = relationship("User", back_populates="posts", order_by="User.name")
    __table_args__ = (sa.CheckConstraint("made > 0"), sa.Index("ix", "made"))
core = sa.Table("core", sa.MetaData(), sa.Column("a", sa.Integer, server_default="3"))
def main():
    return User().label(), Post, core
"""

EDITS = [
    ("String(30)", "String(31)"),
    ('default="x"', 'default="y"'),
    ('+ "!"', '+ "?"'),
    ("return 5", "return 6"),
    ("CASCADE", "SET NULL"),
    ('order_by="User.name"', 'order_by="User.id"'),
    ('back_populates="user")', 'back_populates="user", lazy="joined")'),
    ('back_populates="user")', 'back_populates="user", cascade="all, delete")'),
    ("made > 0", "made > 1"),
    ('Index("ix", "made")', 'Index("ix", "id")'),
    ('server_default="3"', 'server_default="4"'),
    ('"posts"\n', '"letters"\n'),
    ("made = sa.Column(sa.Integer", "made = sa.Column(sa.BigInteger"),
]


def digest(folder, text):
    return fingerprint_of(load(folder, text).main)


@pytest.mark.parametrize(("old", "new"), EDITS)
def test_an_edit_of_a_model_counts_and_nothing_else_does(tmp_path, old, new):
    before = digest(tmp_path, TEXT)
    assert digest(tmp_path, f"# A comment.\n{TEXT}") == before
    assert TEXT.count(old) == 1
    assert digest(tmp_path, TEXT.replace(old, new)) != before
